//! Images that are odd, each run by the library and by containerd's own client side by side: both come to the same
//! verdict, the command ends with the same exit code and says the same, and the files are the same.

mod configs;
mod indexes;
mod layers;
mod manifests;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use drmaa2::model::JobTemplate;
use drmaa2::tracker::Stdio;
use serde_json::{Value, json};

use super::image::{Image, Layer, Packing};
use super::peer::Peer;
use super::rig::Rig;
use super::rootfs;
use super::shelf::{Shelf, Stock};

/// The number of images that are tried at a time.
const WORKERS: usize = 4;

/// The number of tries of an image before the daemon may be too busy for the last time.
const TRIES: usize = 2;

/// An image, and whether the library takes it as `ctr` does.
struct Odd {
    name: &'static str,
    stock: Stock,
    command: Vec<&'static str>,
    entrypoint: Vec<&'static str>,
    verdict: Verdict,
    /// The same where `ctr` is older than containerd 2.
    verdict_of_old: Option<Verdict>,
    /// Not all of its files can be seen from inside.
    is_looked_into: bool,
}

/// The answers of the two to an image.
#[derive(Clone, Copy)]
enum Verdict {
    /// It runs, and all is the same.
    Runs,
    /// Neither runs it.
    Refused,
    /// That is up to the snapshotter, but for both.
    Same,
    /// The library alone runs it.
    RunsHere,
    /// `ctr` alone runs it.
    RunsThere,
    /// Both run it, each in its way.
    RunsOtherwise,
}

impl Odd {
    fn new(name: &'static str, stock: Stock) -> Self {
        Self {
            name,
            stock,
            command: vec!["sh", "-c", TELL],
            entrypoint: vec![],
            verdict: Verdict::Runs,
            verdict_of_old: None,
            is_looked_into: false,
        }
    }

    fn run_with(self, command: &[&'static str]) -> Self {
        Self { command: command.to_vec(), ..self }
    }

    /// With what its configuration has its command follow.
    fn after(self, entrypoint: &[&'static str]) -> Self {
        Self { entrypoint: entrypoint.to_vec(), ..self }
    }

    fn before_2(self, verdict: Verdict) -> Self {
        Self { verdict_of_old: Some(verdict), ..self }
    }

    fn but(self, verdict: Verdict) -> Self {
        Self { verdict, ..self }
    }

    fn refused(self) -> Self {
        self.but(Verdict::Refused)
    }
}

/// A script that tells where it is, whose it is, and what there is: all but what is mounted, and what is made or
/// changed when that is.
const TELL: &str = r#"
exec 2>/dev/null
pwd; id
busybox tr '\0' '\n' </proc/$$/environ | busybox grep -E '^(ODD|PATH|HOME)' | busybox sort
look() {
    busybox find / -xdev ! -path '/dev*' ! -path '/proc*' ! -path '/sys*' ! -path '/run*' ! -path '/var/run*' \
        ! -path '/.drmaa2*' ! -path / ! -path /etc ! -name 'host*' "$@"
}
look -type d -exec busybox stat -c '%N %a %u:%g' {} + | busybox sort
look ! -type d -exec busybox stat -c '%N %F %a %u:%g, %s bytes, %h links, of %Y, %t:%T' {} + | busybox sort
look -type f ! -name busybox -exec busybox sha256sum {} + | busybox sort
exit 7"#;

/// A text that is like no other: what containerd has already is not asked for, and not looked at, a second time.
fn mark() -> String {
    ulid::Ulid::generate().to_string()
}

/// A layer with a file that is like no other.
fn here() -> Layer {
    Layer::new(&[("srv/data", mark().as_bytes(), 0o644)], Packing::Plain)
}

fn plain() -> Image {
    let config = json!({ "WorkingDir": "/srv", "Env": ["PATH=/bin", "ODD=1"] });
    Image::new(vec![Layer::busybox(), here()], config)
}

/// An ordinary image with a change of its configuration and its manifest.
fn edited(change: impl FnOnce(&mut Value, &mut Value)) -> Stock {
    Stock::of(&plain().edited(change))
}

/// The end of a command with what it has said, or why it did not run.
type Outcome = Result<(i64, String), String>;

fn ours(rig: &Rig, name: &str, command: &[&str]) -> Outcome {
    let path = rig.file(&format!("out.{}", ulid::Ulid::generate()), "");
    let stdio = Stdio { output: Some(path.as_path().into()), ..Stdio::default() };
    let template = JobTemplate {
        remote_command: Some(command[0].into()),
        args: Some(command[1..].iter().map(|&word| word.into()).collect()),
        job_category: Some(name.into()),
        ..JobTemplate::default()
    };
    let outcome = rig.end_or_error(&rig.start(template, stdio))?;
    let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    match (outcome.exit_status, outcome.reason) {
        // Init is there, but the command is not.
        (Some(126 | 127), Some(reason)) => Err(reason),
        (Some(code), _) => Ok((code.into(), text)),
        (None, reason) => Err(reason.unwrap_or_else(|| format!("no reason: {text}"))),
    }
}

fn theirs(peer: &Peer, name: &str, odd: &Odd) -> Outcome {
    peer.pull(name, &["--plain-http"])?;
    // `ctr` has a command take the place of the entrypoint.
    peer.run(name, &[&odd.entrypoint[..], &odd.command].concat())
}

/// The library's word on an image. A daemon that has too much to do is asked again, as a session does.
fn patiently(rig: &Rig, name: &str, command: &[&str]) -> Outcome {
    let too_busy =
        |outcome: &Outcome| outcome.as_ref().is_err_and(|text| text.contains("Timeout expired"));
    let mut tries = (0..TRIES).map(|_| ours(rig, name, command)).skip_while(too_busy);
    tries.next().unwrap_or_else(|| ours(rig, name, command))
}

/// The fault of an image, if it has one.
fn wrong(rig: &Rig, peer: &Peer, name: &str, odd: &Odd) -> Option<String> {
    let (ours, theirs) = (patiently(rig, name, &odd.command), theirs(peer, name, odd));
    let of_old = odd.verdict_of_old.filter(|_| !peer.is_new);
    match (of_old.unwrap_or(odd.verdict), &ours, &theirs) {
        (Verdict::Refused | Verdict::Same, Err(_), Err(_))
        | (Verdict::RunsHere, Ok(_), Err(_))
        | (Verdict::RunsThere, Err(_), Ok(_)) => None,
        (Verdict::RunsOtherwise, Ok(said), Ok(heard)) if said != heard => None,
        (Verdict::Runs | Verdict::Same, Ok(said), Ok(heard)) if said == heard => {
            if !odd.is_looked_into {
                return None;
            }
            let look = |namespace: &str| peer.look(namespace, name, rootfs::walk);
            let (Some(ours), Some(theirs)) = (look(&rig.settings.namespace), look(&peer.namespace))
            else {
                return Some("one of the two has no snapshot".to_owned());
            };
            let lines = rootfs::differences(&ours, &theirs);
            (!lines.is_empty()).then(|| lines.join("\n"))
        }
        _ => Some(format!("the library: {ours:#?}\nctr: {theirs:#?}")),
    }
}

#[test]
fn odd_images_are_taken_as_containerd_takes_them() {
    if !super::rig::is_possible() {
        return;
    }
    let shelf = Shelf::start();
    let mut all: Vec<Odd> = [configs::all(), manifests::all(), indexes::all(), layers::all()]
        .into_iter()
        .flatten()
        .collect();
    assert!(all.len() >= 60, "{}", all.len());
    if let Ok(only) = std::env::var("DRMAA2_TEST_ODD") {
        all.retain(|odd| odd.name.contains(&only));
    }
    let names: Vec<_> = all.iter().map(|odd| shelf.put(odd.name, odd.stock.clone())).collect();
    let (next, faults) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..WORKERS.min(all.len()) {
            scope.spawn(|| {
                let rig = Rig::new().unwrap();
                let peer = Peer::of(&rig);
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(odd) = all.get(at) else { break };
                    if let Some(fault) = wrong(&rig, &peer, &names[at], odd) {
                        faults.lock().unwrap().push(format!("{}:\n{fault}", odd.name));
                    }
                }
            });
        }
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), all.len(), faults.join("\n\n"));
}
