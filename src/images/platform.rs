//! For which machines an image is made, as containerd decides it: by what an index says of its entries, and by an
//! image's configuration only where nothing else tells. Names are compared in their usual form.

use oci_spec::image::{Arch, Descriptor, Os, Platform};

use crate::model::Error;

/// The architectures whose programs run on a machine of this one, the best first.
fn runnable(machine: &str) -> &'static [&'static str] {
    match machine {
        "amd64" => &["amd64", "386"],
        "arm64" => &["arm64", "arm"],
        "386" => &["386"],
        "arm" => &["arm"],
        "ppc64le" => &["ppc64le"],
        "s390x" => &["s390x"],
        "riscv64" => &["riscv64"],
        _ => &[],
    }
}

/// The usual name of an architecture.
fn architecture(name: &str) -> String {
    let name = name.to_lowercase();
    match name.as_str() {
        "x86_64" | "x86-64" => "amd64".to_owned(),
        "i386" | "i486" | "i586" | "i686" => "386".to_owned(),
        "aarch64" => "arm64".to_owned(),
        "armhf" | "armel" => "arm".to_owned(),
        _ => name,
    }
}

/// One that is not said is meant to be the machine's.
fn is_linux(os: &Os) -> bool {
    let os = os.to_string();
    os.is_empty() || os.eq_ignore_ascii_case("linux")
}

/// The rank of an architecture and variant on a machine: the lower, the better. `None` if it does not fit.
fn rank(named: &Arch, variant: Option<&str>, machine: &Arch) -> Option<usize> {
    let (named, machine) = (architecture(&named.to_string()), machine.to_string());
    let place =
        runnable(&machine).iter().position(|it| *it == named).or((named == machine).then_some(0))?;
    let is_baseline = match (variant.unwrap_or_default(), named.as_str()) {
        ("", _) | ("v8", "arm64") | ("v7", "arm") | ("v1", "amd64") => true,
        ("v8", "arm") => machine == "arm64",
        _ => false,
    };
    Some(2 * place + usize::from(!is_baseline))
}

/// The entry of an index that fits a Linux machine of this architecture best: one for that and not for an older one
/// whose programs it runs; then one without a variant or with the baseline's, then the first with any other.
pub(crate) fn choose<'a>(entries: &'a [Descriptor], machine: &Arch) -> Result<&'a Descriptor, Error> {
    let rank = |platform: &Platform| {
        let fits = rank(platform.architecture(), platform.variant().as_deref(), machine);
        // No kernel is asked for features; what wants some comes after all that wants none.
        let wants = platform.os_features().as_ref().is_some_and(|all| !all.is_empty());
        fits.filter(|_| is_linux(platform.os())).map(|rank| (wants, rank))
    };
    entries
        .iter()
        .filter_map(|entry| Some((rank(entry.platform().as_ref()?)?, entry)))
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, entry)| entry)
        // An index written by hand may not name platforms; the configuration of the image is looked at then.
        .or_else(|| entries.iter().find(|entry| entry.platform().is_none()))
        .ok_or_else(wrong)
}

/// Refuse an image whose configuration says that it is for other machines than this one.
pub(crate) fn check(os: &Os, named: &Arch) -> Result<(), Error> {
    let fits = named.to_string().is_empty() || rank(named, None, &Arch::default()).is_some();
    if fits && is_linux(os) { Ok(()) } else { Err(wrong()) }
}

/// The image is not made for this machine.
fn wrong() -> Error {
    Error::argument(format!("not made for this machine (linux/{})", Arch::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(digit: char, platform: Option<(&str, &str, Option<&str>)>) -> Descriptor {
        let mut json = serde_json::json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": format!("sha256:{}", digit.to_string().repeat(64)),
            "size": 1,
        });
        if let Some((os, arch, variant)) = platform {
            json["platform"] = serde_json::json!({ "os": os, "architecture": arch });
            if let Some(variant) = variant {
                json["platform"]["variant"] = variant.into();
            }
        }
        serde_json::from_value(json).unwrap()
    }

    fn chosen(entries: &[Descriptor], arch: &Arch) -> Option<char> {
        choose(entries, arch).ok()?.digest().digest().chars().next()
    }

    #[test]
    fn the_entry_for_this_platform_is_chosen() {
        let index = [
            entry('0', Some(("windows", "amd64", None))),
            entry('1', Some(("linux", "amd64", Some("v3")))),
            entry('2', Some(("linux", "amd64", None))),
            entry('3', Some(("linux", "arm64", Some("v8")))),
            entry('4', Some(("linux", "arm", Some("v6")))),
            entry('5', Some(("linux", "arm", Some("v7")))),
            entry('6', Some(("unknown", "unknown", None))),
        ];
        assert_eq!(chosen(&index, &Arch::Amd64), Some('2'));
        assert_eq!(chosen(&index, &Arch::ARM64), Some('3'));
        assert_eq!(chosen(&index, &Arch::ARM), Some('5'));
        assert_eq!(chosen(&index, &Arch::s390x), None);
        assert_eq!(chosen(&[entry('7', None)], &Arch::Amd64), Some('7'));
    }

    #[test]
    fn an_entry_that_wants_features_comes_last() {
        let mut wants = serde_json::to_value(entry('1', Some(("linux", "amd64", None)))).unwrap();
        wants["platform"]["os_features"] = serde_json::json!(["x"]);
        let wants: Descriptor = serde_json::from_value(wants).unwrap();
        let older = entry('2', Some(("linux", "386", None)));
        assert_eq!(chosen(&[wants.clone(), older], &Arch::Amd64), Some('2'));
        assert_eq!(chosen(&[wants], &Arch::Amd64), Some('1'));
    }

    #[test]
    fn an_older_architecture_and_other_names_will_do() {
        let old = entry('1', Some(("linux", "386", None)));
        let named = entry('2', Some(("Linux", "x86_64", None)));
        let arm = entry('3', Some(("", "aarch64", None)));
        assert_eq!(chosen(std::slice::from_ref(&old), &Arch::Amd64), Some('1'));
        assert_eq!(chosen(&[old.clone(), named.clone()], &Arch::Amd64), Some('2'));
        assert_eq!(chosen(&[old, named, arm], &Arch::ARM64), Some('3'));
        assert_eq!(chosen(&[entry('4', Some(("linux", "arm", Some("v7"))))], &Arch::ARM64), Some('4'));
    }

    #[test]
    fn a_configuration_that_does_not_say_fits() {
        let check = |os: &str, arch: &str| check(&os.into(), &arch.into()).is_ok();
        assert!(check("", "") && check("LINUX", "") && check("linux", &Arch::default().to_string()));
        assert!(!check("windows", "") && !check("linux", "sparc"));
    }
}
