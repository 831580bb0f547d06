//! A connection to a registry that can stop in the middle.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// Passes what a registry says on, up to a number of bytes.
pub struct Proxy {
    pub address: String,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// The address that connections go to; `None` closes each at once.
    registry: Option<String>,
    /// Bytes that may still pass.
    budget: u64,
    passed: u64,
    /// Does a connection wait for more?
    stalled: bool,
    /// The number of connections so far.
    connections: usize,
    /// Requests that have this in them do not pass.
    held: Option<String>,
    /// Clients that are connected.
    clients: usize,
    open: Vec<TcpStream>,
}

impl Proxy {
    pub fn new(registry: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = State {
            registry: Some(registry.to_owned()),
            budget: u64::MAX,
            passed: 0,
            stalled: false,
            connections: 0,
            held: None,
            clients: 0,
            open: Vec::new(),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                accepting.serve(client);
            }
        });
        Self { address, shared }
    }

    /// Let so many bytes pass from now on.
    pub fn limit(&self, bytes: u64) {
        let mut state = self.shared.state.lock().unwrap();
        (state.budget, state.passed, state.stalled) = (bytes, 0, false);
        self.shared.changed.notify_all();
    }

    /// Hold requests back that have this in them, or pass all on again.
    pub fn hold(&self, text: Option<&str>) {
        self.shared.state.lock().unwrap().held = text.map(str::to_owned);
        self.shared.changed.notify_all();
    }

    /// Wait until that is used up, or a request is held back.
    pub fn until_stalled(&self) {
        let state = self.shared.state.lock().unwrap();
        drop(self.shared.changed.wait_while(state, |state| !state.stalled).unwrap());
    }

    /// Wait until no client is connected any more.
    pub fn until_closed(&self) {
        let state = self.shared.state.lock().unwrap();
        drop(self.shared.changed.wait_while(state, |state| state.clients > 0).unwrap());
    }

    /// The number of connections so far.
    pub fn connections(&self) -> usize {
        self.shared.state.lock().unwrap().connections
    }

    /// The number of bytes that have passed since the last limit.
    pub fn passed(&self) -> u64 {
        self.shared.state.lock().unwrap().passed
    }

    /// Close all connections, and send later ones to another registry, or nowhere.
    pub fn redirect(&self, registry: Option<&str>) {
        let mut state = self.shared.state.lock().unwrap();
        state.registry = registry.map(str::to_owned);
        for stream in state.open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        state.budget = u64::MAX;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn serve(self: &Arc<Self>, mut client: TcpStream) {
        let mut state = self.state.lock().unwrap();
        state.connections += 1;
        let Some(Ok(mut server)) = state.registry.as_ref().map(TcpStream::connect) else { return };
        state.clients += 1;
        state.open.push(client.try_clone().unwrap());
        state.open.push(server.try_clone().unwrap());
        drop(state);
        let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let shared = Arc::clone(self);
        thread::spawn(move || {
            let mut buffer = [0; 16 << 10];
            while let Ok(length @ 1..) = from.read(&mut buffer) {
                shared.wait_for_passage(&buffer[..length]);
                if to.write_all(&buffer[..length]).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(Shutdown::Write);
            shared.state.lock().unwrap().clients -= 1;
            shared.changed.notify_all();
        });
        let shared = Arc::clone(self);
        thread::spawn(move || {
            let mut buffer = [0; 16 << 10];
            while let Ok(length @ 1..) = server.read(&mut buffer) {
                shared.wait_for_room(length as u64);
                if client.write_all(&buffer[..length]).is_err() {
                    break;
                }
            }
            let _ = client.shutdown(Shutdown::Both);
        });
    }

    /// A request comes in one piece.
    fn wait_for_passage(&self, request: &[u8]) {
        let request = String::from_utf8_lossy(request);
        let mut state = self.state.lock().unwrap();
        while state.held.as_ref().is_some_and(|held| request.contains(held)) {
            state.stalled = true;
            self.changed.notify_all();
            state = self.changed.wait(state).unwrap();
        }
    }

    fn wait_for_room(&self, length: u64) {
        let mut state = self.state.lock().unwrap();
        while state.budget < length {
            state.stalled = true;
            self.changed.notify_all();
            state = self.changed.wait(state).unwrap();
        }
        state.budget -= length;
        state.passed += length;
    }
}
