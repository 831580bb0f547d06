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

#[test]
fn a_certificate_of_ours_is_shown_from_either_place() {
    let Some(rig) = Rig::new() else { return };
    let plain = Server::start();
    plain.push(&Image::new(vec![Layer::busybox(), Layer::random(1000)], json!({})), "app:1");
    let (server, certificate, [ours, key]) = plain.over_tls_among_friends();
    let address = &server.address;
    let name = format!("{address}/app:1");
    // As Docker names them, without a hosts.toml.
    let dir = format!("certs.d/{address}");
    rig.file(&format!("{dir}/ca.crt"), &certificate);
    let refused = rig.refused(&name);
    assert!(refused.contains("ertificate"), "{refused}");
    rig.file(&format!("{dir}/client.cert"), &ours);
    rig.file(&format!("{dir}/client.key"), &key);
    rig.output(&name, "true");
    assert_eq!(server.requests("/manifests/1"), 1);

    let Some(configured) = Rig::new() else { return };
    for (file, text) in [("ca.pem", &certificate), ("ours.pem", &format!("{ours}{key}"))] {
        configured.file(&format!("{dir}/{file}"), text);
    }
    let hosts = format!("server = 'https://{address}'\nca = 'ca.pem'\nclient = 'ours.pem'\nlater = 1\n");
    configured.file(&format!("{dir}/hosts.toml"), &hosts);
    configured.output(&name, "true");
}
