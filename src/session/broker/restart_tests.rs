//! Clients that come while a broker is being started again.

use std::os::unix::net::UnixListener;
use std::thread;

use super::open;
use super::tests::Site;
use crate::session::call::Call;
use crate::session::connection::Connection;

#[test]
fn who_comes_while_a_broker_ends_is_served_by_the_next_one() {
    let site = Site::new();
    let path = site.path.with_file_name("another.sock");
    let socket = UnixListener::bind(&path).unwrap();
    thread::scope(|scope| {
        let asked = scope.spawn(|| Connection::new(&path, 0).has(2));
        // A broker takes it, and is killed before it says a word.
        drop(socket.accept().unwrap());
        open(&site.bench.world, socket.try_clone().unwrap()).unwrap();
        assert!(asked.join().unwrap());
    });
}

#[test]
fn a_socket_that_nobody_listens_at_is_an_error_that_names_it() {
    let site = Site::new();
    let path = site.path.with_file_name("left.sock");
    drop(UnixListener::bind(&path).unwrap());
    let error = Connection::new(&path, 0).ask(false, Call::Listen).unwrap_err();
    assert!(error.message.contains("left.sock") && error.message.contains("refused"), "{error}");
}
