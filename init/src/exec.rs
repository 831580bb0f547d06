//! From a command's name to a running program: environment, `PATH`, exec.

use std::convert::Infallible;
use std::ffi::{CString, NulError, OsStr, c_char};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use drmaa2_init::{DEFAULT_PATH, Order};

use crate::failure::{Failure, NOT_FOUND};
use crate::user::User;

/// Replace this process by the order's command.
///
/// `PATH` is searched as execvp(3) does it, but a file without an interpreter is not given to a shell:
/// in a container it is most often a program built for another machine, and the shell's syntax error
/// would hide that.
pub(crate) fn exec(order: &Order, user: &User) -> Result<Infallible, Failure> {
    let Some(command) = order.args.first() else {
        return Err(Failure::text("no command".to_owned()));
    };
    let name = OsStr::from_bytes(command).display();
    let env = environment(&order.env, user);
    let candidates = candidates(command, value(&env, b"PATH").unwrap_or_default());
    Err(match run(&candidates, &order.args, &env) {
        Ok(Some(error)) if error.kind() == io::ErrorKind::NotFound => {
            Failure::text(format!("cannot run \"{name}\": its interpreter or loader is missing"))
        }
        Ok(Some(error)) => Failure::new(format_args!("cannot run \"{name}\""), &error),
        Ok(None) => {
            let place = if command.contains(&b'/') { "no such file" } else { "not found in PATH" };
            let failure = Failure::text(format!("cannot run \"{name}\": {place}"));
            Failure { code: NOT_FOUND, ..failure }
        }
        Err(_nul) => Failure::text(format!("cannot run \"{name}\": a NUL in its arguments")),
    })
}

/// Run the first file that can be run. Returns only if there is none, with the error of the first one
/// that exists.
fn run(files: &[Vec<u8>], args: &[Vec<u8>], env: &[Vec<u8>]) -> Result<Option<io::Error>, NulError> {
    let (args, env) = (c_strings(args)?, c_strings(env)?);
    let (args, env) = (pointers(&args), pointers(&env));
    let mut refused = None;
    for file in files {
        let path = CString::new(file.as_slice())?;
        // SAFETY: all strings end in NUL, both lists end in null, and they outlive the call.
        unsafe { libc::execve(path.as_ptr(), args.as_ptr(), env.as_ptr()) };
        let error = io::Error::last_os_error();
        if !is_missing(file, &error) {
            refused.get_or_insert(error);
        }
    }
    Ok(refused)
}

/// Returns whether a failed exec means that there is no such file. A file with a missing interpreter
/// gives the same error.
fn is_missing(path: &[u8], error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory) && !Path::new(OsStr::from_bytes(path)).exists()
}

/// The files that the command's name may mean, in order.
fn candidates(command: &[u8], path: &[u8]) -> Vec<Vec<u8>> {
    if command.is_empty() || command.contains(&b'/') {
        return vec![command.to_vec()];
    }
    path.split(|byte| *byte == b':')
        .map(|directory| match directory {
            b"" => [b"./", command].concat(),
            _ => [directory, b"/", command].concat(),
        })
        .collect()
}

/// The job's environment, with the variables that programs rely on.
fn environment(env: &[Vec<u8>], user: &User) -> Vec<Vec<u8>> {
    let mut env = env.to_vec();
    let defaults: [(&[u8], &[u8]); 4] = [
        (b"HOME", &user.home),
        (b"USER", &user.name),
        (b"LOGNAME", &user.name),
        (b"PATH", DEFAULT_PATH.as_bytes()),
    ];
    for (name, default) in defaults {
        if value(&env, name).is_none() {
            env.push([name, b"=", default].concat());
        }
    }
    env
}

fn value<'a>(env: &'a [Vec<u8>], name: &[u8]) -> Option<&'a [u8]> {
    env.iter().find_map(|entry| entry.strip_prefix(name)?.strip_prefix(b"="))
}

fn c_strings(list: &[Vec<u8>]) -> Result<Vec<CString>, NulError> {
    list.iter().map(|item| CString::new(item.as_slice())).collect()
}

fn pointers(list: &[CString]) -> Vec<*const c_char> {
    list.iter().map(|item| item.as_ptr()).chain([ptr::null()]).collect()
}

#[cfg(test)]
mod tests {
    use drmaa2_init::Submitter;

    use super::*;

    #[test]
    fn the_environment_gets_a_home_and_a_path_only_if_it_has_none() {
        let submitter = Some(Submitter { uid: 4711, gid: 4712, groups: vec![] });
        let (user, user_name) = (b"4711:4712".to_vec(), b"me".to_vec());
        let user = User::find(&Order { user, user_name, submitter, ..Order::default() });
        let Ok(user) = user else { panic!("no user") };
        let own = ["PATH=", "HOMER=x", "HOME=/own", "USER=", "LOGNAME=x"]
            .map(|entry| entry.as_bytes().to_vec());
        assert_eq!(environment(&own, &user), own);
        let env = environment(&[], &user);
        assert_eq!([&b"USER"[..], b"LOGNAME"].map(|name| value(&env, name)), [Some(&b"me"[..]); 2]);
        assert_eq!(value(&env, b"HOME"), Some(&b"/"[..]));
        assert_eq!(value(&env, b"PATH"), Some(DEFAULT_PATH.as_bytes()));
    }

    #[test]
    fn a_name_is_looked_up_and_a_path_is_not() {
        assert_eq!(
            candidates(b"sh", b"/a::/b"),
            [b"/a/sh".to_vec(), b"./sh".to_vec(), b"/b/sh".to_vec()]
        );
        assert_eq!(candidates(b"./sh", b"/a"), [b"./sh".to_vec()]);
        assert_eq!(candidates(b"", b"/a"), [b"".to_vec()]);
    }
}
