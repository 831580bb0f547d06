//! Credential helpers: programs that keep passwords, spoken to through their standard streams.

use std::env;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::Settings;
use super::credentials::Credentials;
use crate::model::{Error, ErrorCode, Result};

/// How a helper says that it has nothing.
const NOTHING: &str = "credentials not found";
/// The user's name if the secret is a token.
const TOKEN_USER: &str = "<token>";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Ask the helper `name` for what it keeps for a server.
pub(super) fn ask(name: &str, server: &str, settings: &Settings) -> Result<Option<Credentials>> {
    let program = format!("docker-credential-{name}");
    let of = |error: Error| error.of(format_args!("helper {program}"));
    let path = find(&program, settings)
        .ok_or_else(|| of(Error::argument("there is no such program in PATH")))?;
    let output = run(&path, server)
        .map_err(|error| of(Error::new(ErrorCode::of_io(&error), error.to_string())))?;
    match serde_json::from_slice::<Answer>(&output) {
        Ok(answer) if answer.username == TOKEN_USER => Ok(Some(Credentials::Token(answer.secret))),
        Ok(Answer { username: user, secret: password }) => {
            Ok(Some(Credentials::Password { user, password }))
        }
        Err(_) => {
            let text = String::from_utf8_lossy(&output);
            if text.contains(NOTHING) { Ok(None) } else { Err(of(Error::argument(text.trim()))) }
        }
    }
}

fn find(program: &str, settings: &Settings) -> Option<PathBuf> {
    env::split_paths(&settings.path).map(|dir| dir.join(program)).find(|path| path.is_file())
}

fn run(path: &PathBuf, server: &str) -> std::io::Result<Vec<u8>> {
    let mut child = Command::new(path)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut output = Vec::new();
    let spoken = match (child.stdin.take(), child.stdout.take()) {
        (Some(mut stdin), Some(mut stdout)) => {
            // One that does not want to know has its answer ready.
            let _ = stdin.write_all(server.as_bytes()).and_then(|()| stdin.write_all(b"\n"));
            drop(stdin);
            stdout.read_to_end(&mut output).map(drop)
        }
        _ => Ok(()),
    };
    // The program that this library is part of may have its own way with children: then somebody else
    // has taken its end, and its output says enough.
    let _ = child.wait();
    spoken.map(|()| output)
}
