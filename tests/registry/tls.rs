//! A registry that speaks TLS: whom it has to convince, and who says so.

use serde_json::json;

use super::image::{Image, Layer};
use super::rig::{Held, Rig};
use super::server::Server;

#[test]
fn a_certificate_is_checked_unless_the_site_says_otherwise() {
    let Some(rig) = Rig::new() else { return };
    let plain = Server::start();
    plain.push(&Image::new(vec![Layer::busybox(), Layer::random(1000)], json!({})), "app:1");
    let (server, certificate) = plain.over_tls();
    let address = &server.address;
    let name = format!("{address}/app:1");

    let refused = rig.refused(&name);
    assert!(refused.contains("certificate"), "{refused}");
    assert_eq!(server.requests("/manifests/1"), 0);
    assert_eq!(rig.held(), Held::default());

    let hosts = format!("certs.d/{address}/hosts.toml");
    rig.file(&format!("certs.d/{address}/ca.pem"), &certificate);
    rig.file(&hosts, &format!("server = 'https://{address}'\nca = 'ca.pem'\n"));
    rig.output(&name, "true");
    assert_eq!(server.requests("/manifests/1"), 1);

    let Some(trusting) = Rig::new() else { return };
    trusting.file(&hosts, &format!("server = 'https://{address}'\nskip_verify = true\n"));
    trusting.output(&name, "true");
}
