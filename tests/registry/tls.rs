//! A registry that speaks TLS: whom it has to convince, and that nobody else gets anything.

use serde_json::json;

use super::image::{Image, Layer};
use super::rig::{Held, Rig};
use super::server::Server;

/// A registry on the loopback interface whose certificate no system knows, and that certificate.
fn server() -> (Server, String) {
    let server = Server::start();
    server.push(&Image::new(vec![Layer::busybox()], json!({})), "app:1");
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let certificate = own.cert.pem();
    (server.again_with_tls(&certificate, &own.signing_key.serialize_pem()), certificate)
}

#[test]
fn a_certificate_that_nobody_knows_is_refused() {
    let Some(rig) = Rig::new() else { return };
    let (server, _) = server();
    let reason = rig.refused(&format!("{}/app:1", server.address));
    let expected = format!("registry https://{}: ", server.address);
    assert!(reason.contains(&expected) && reason.contains("certificate"), "{reason}");
    assert_eq!(server.requests(""), 0);
    assert_eq!(rig.held(), Held::default());
}

#[test]
fn a_certificate_of_hosts_toml_is_trusted() {
    let Some(rig) = Rig::new() else { return };
    let (server, certificate) = server();
    let dir = format!("certs.d/{}", server.address);
    rig.file(&format!("{dir}/ca.pem"), &certificate);
    let hosts = format!("server = 'https://{}'\nca = 'ca.pem'\n", server.address);
    rig.file(&format!("{dir}/hosts.toml"), &hosts);
    rig.output(&format!("{}/app:1", server.address), "true");
}

#[test]
fn verification_can_be_switched_off() {
    let Some(rig) = Rig::new() else { return };
    let (server, _) = server();
    // Without a URL it is found out that TLS is spoken.
    let file = format!("certs.d/{}/hosts.toml", server.address);
    rig.file(&file, "skip_verify = true\n");
    rig.output(&format!("{}/app:1", server.address), "true");
}
