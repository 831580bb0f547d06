//! Names of images as people write them, and as containerd stores them.

/// The names under which the image `text` may be stored, the most likely first: as it is written,
/// then in the full form that Docker and nerdctl give to a short name.
pub(super) fn candidates(text: &str) -> Vec<String> {
    let full = full_name(text);
    if full == text { vec![full] } else { vec![text.to_owned(), full] }
}

/// `busybox` is `docker.io/library/busybox:latest`, `me/app:2` is `docker.io/me/app:2`.
pub(super) fn full_name(text: &str) -> String {
    let (domain, path) = match text.split_once('/') {
        Some((first, rest)) if is_domain(first) => (first, rest),
        _ => ("docker.io", text),
    };
    let domain = if domain == "index.docker.io" { "docker.io" } else { domain };
    let library = if domain == "docker.io" && !path.contains('/') { "library/" } else { "" };
    let name = path.rsplit('/').next().unwrap_or(path);
    let tag = if name.contains([':', '@']) { "" } else { ":latest" };
    format!("{domain}/{library}{path}{tag}")
}

/// Is the first part of a name a registry's host rather than a user of the default registry?
fn is_domain(part: &str) -> bool {
    part == "localhost" || part.contains(['.', ':']) || part.chars().any(char::is_uppercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_those_of_docker() {
        for (short, full) in [
            ("busybox", "docker.io/library/busybox:latest"),
            ("busybox:1", "docker.io/library/busybox:1"),
            ("me/app", "docker.io/me/app:latest"),
            ("me/team/app:2", "docker.io/me/team/app:2"),
            ("docker.io/busybox", "docker.io/library/busybox:latest"),
            ("index.docker.io/busybox:1", "docker.io/library/busybox:1"),
            ("localhost/app:1", "localhost/app:1"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
            ("quay.io/org/app", "quay.io/org/app:latest"),
            ("busybox@sha256:00", "docker.io/library/busybox@sha256:00"),
        ] {
            assert_eq!(full_name(short), full);
        }
    }

    #[test]
    fn the_text_itself_is_tried_first_and_once() {
        assert_eq!(candidates("busybox"), ["busybox", "docker.io/library/busybox:latest"]);
        assert_eq!(candidates("localhost/a:1"), ["localhost/a:1"]);
    }
}
