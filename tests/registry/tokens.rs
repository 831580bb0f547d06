//! A registry that wants a token: what is told to its authority, and that the token is used.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use serde_json::json;

use super::image::{Image, Layer};
use super::rig::Rig;
use super::server::Server;

/// A door in front of a registry: nobody passes without the token that it gives out itself.
fn door(registry: String, heard: mpsc::Sender<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let realm = format!("http://{address}/token");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (registry, realm, heard) = (registry.clone(), realm.clone(), heard.clone());
            thread::spawn(move || answer(stream, &registry, &realm, &heard));
        }
    });
    address
}

/// One request for each connection.
fn answer(
    mut stream: TcpStream,
    registry: &str,
    realm: &str,
    heard: &mpsc::Sender<String>,
) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let line = head.lines().next()?.to_owned();
    let lower = head.to_lowercase();
    let mut reply = |status: &str, headers: &str, body: &str| {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all((head + body).as_bytes()).ok()
    };
    if line.starts_with("GET /token?") {
        heard.send(head.clone()).ok()?;
        // `drmaa2:secret`
        return if head.contains("Basic ZHJtYWEyOnNlY3JldA==") {
            reply("200 OK", "", r#"{"token":"open-sesame"}"#)
        } else {
            reply("401 Unauthorized", "", "")
        };
    }
    if !lower.contains("authorization: bearer open-sesame") {
        let challenge = format!("WWW-Authenticate: Bearer realm=\"{realm}\",service=\"a door\"\r\n");
        return reply("401 Unauthorized", &challenge, "");
    }
    let mut server = TcpStream::connect(registry).ok()?;
    let bare: String = head
        .split_inclusive("\r\n")
        .filter(|line| !line.to_lowercase().starts_with("authorization:") && *line != "\r\n")
        .collect();
    server.write_all(format!("{bare}Connection: close\r\n\r\n").as_bytes()).ok()?;
    std::io::copy(&mut server, &mut stream).ok().map(drop)
}

#[test]
fn a_token_opens_a_registry() {
    let Some(rig) = Rig::new() else { return };
    let server = Server::start();
    let image = Image::new(vec![Layer::busybox(), Layer::random(1000)], json!({}));
    server.push(&image, "team/app:1");
    let (heard, requests) = mpsc::channel();
    let address = door(server.address.clone(), heard);
    let name = format!("{address}/team/app:1");
    let refused = rig.refused(&name);
    assert!(refused.contains("gives no token for team/app: 401"), "{refused}");
    let auths = json!({ "auths": { address.as_str(): { "auth": "ZHJtYWEyOnNlY3JldA==" } } });
    rig.file("auth.json", &auths.to_string());
    rig.output(&name, "true");
    let asked = requests.recv().unwrap();
    assert!(
        asked.starts_with("GET /token?service=a+door&scope=repository%3Ateam%2Fapp%3Apull "),
        "{asked}"
    );
}
