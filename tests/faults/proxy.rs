//! A wire between the library and containerd that can be tapped: it passes every call on as it is, knows
//! each by its method and by the process that makes it, and can stop one before containerd hears of it or
//! before its answer is heard.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{Request, Response};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;

type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Methods that last as long as their connection: they are passed on but not counted.
const STREAMS: [&str; 1] = ["Events.Subscribe"];

/// The moment at which a call is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Before containerd hears of it.
    Before,
    /// After containerd has answered, and before anybody hears the answer.
    After,
}

/// The call that is stopped: the nth of a method, or the nth of all if no method is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trap {
    pub method: Option<String>,
    pub nth: usize,
    pub side: Side,
}

/// The treatment of a call that was stopped.
#[derive(Debug)]
pub enum Fate {
    /// It goes on.
    Pass,
    /// The connection that it came on is cut.
    Cut,
    /// It is answered with this gRPC status, and nothing else.
    Refuse(u16),
    /// It is never answered.
    Silence,
}

/// A call that was stopped, and the way to let it go.
#[derive(Debug)]
pub struct Hit {
    /// The process that made it.
    pub pid: i32,
    pub fate: oneshot::Sender<Fate>,
}

#[derive(Default)]
struct State {
    trap: Option<Trap>,
    /// Are calls counted?
    counting: bool,
    counts: HashMap<String, usize>,
    calls: Vec<String>,
    barred: HashSet<i32>,
    connections: HashMap<i32, Vec<AbortHandle>>,
}

struct Shared {
    upstream: PathBuf,
    state: Mutex<State>,
    on_hit: Box<dyn Fn(Hit) + Send + Sync>,
    /// Are events kept back?
    muted: watch::Sender<bool>,
    /// Methods of which a call was answered.
    answered: watch::Sender<HashSet<String>>,
}

pub struct Proxy {
    shared: Arc<Shared>,
    runtime: tokio::runtime::Runtime,
}

impl Proxy {
    /// Listen on a socket, and pass on what comes to another. `on_hit` hears of the call that is stopped.
    pub fn new(listen: &Path, upstream: &Path, on_hit: impl Fn(Hit) + Send + Sync + 'static) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            state: Mutex::default(),
            on_hit: Box::new(on_hit),
            muted: watch::Sender::new(false),
            answered: watch::Sender::default(),
        });
        let listener = {
            let _entered = runtime.enter();
            UnixListener::bind(listen).unwrap()
        };
        runtime.spawn(accept(listener, shared.clone()));
        Self { shared, runtime }
    }

    /// Count calls from now on, and stop one.
    pub fn arm(&self, trap: Option<Trap>) {
        let mut state = self.shared.state.lock().unwrap();
        state.counts.clear();
        state.calls.clear();
        state.counting = true;
        state.trap = trap;
        self.shared.answered.send_modify(HashSet::clear);
    }

    /// Stop none any more.
    pub fn disarm(&self) {
        self.shared.state.lock().unwrap().trap = None;
    }

    /// The methods that were called since it was armed, in their order.
    pub fn calls(&self) -> Vec<String> {
        self.shared.state.lock().unwrap().calls.clone()
    }

    /// Wait until a call of this method was answered since it was armed. False if none was in time.
    pub fn await_answer(&self, method: &str, limit: Duration) -> bool {
        let answered = self.shared.answered.subscribe();
        self.runtime.block_on(async move {
            let mut answered = answered;
            let wanted = answered.wait_for(|methods| methods.contains(method));
            tokio::time::timeout(limit, wanted).await.is_ok()
        })
    }

    /// Let a process reach containerd, or not.
    pub fn bar(&self, pid: i32, barred: bool) {
        let mut state = self.shared.state.lock().unwrap();
        if !barred {
            state.barred.remove(&pid);
            return;
        }
        state.barred.insert(pid);
        for connection in state.connections.remove(&pid).unwrap_or_default() {
            connection.abort();
        }
    }

    /// Keep events back, or let them go.
    pub fn mute(&self, muted: bool) {
        self.shared.muted.send_replace(muted);
    }
}

async fn accept(listener: UnixListener, shared: Arc<Shared>) {
    while let Ok((socket, _)) = listener.accept().await {
        let Some(pid) = socket.peer_cred().ok().and_then(|peer| peer.pid()) else { continue };
        let mut state = shared.state.lock().unwrap();
        if state.barred.contains(&pid) {
            continue;
        }
        let task = tokio::spawn(connection(socket, pid, shared.clone()));
        state.connections.entry(pid).or_default().push(task.abort_handle());
    }
}

/// One connection of a client is one to containerd: they end together, as one would.
async fn connection(socket: UnixStream, pid: i32, shared: Arc<Shared>) {
    let Ok(upstream) = UnixStream::connect(&shared.upstream).await else { return };
    let (Ok((requests, upstream)), Ok(mut client)) =
        tokio::join!(h2::client::handshake(upstream), h2::server::handshake(socket))
    else {
        return;
    };
    let mut upstream = tokio::spawn(upstream);
    let (cut, mut is_cut) = tokio::sync::mpsc::channel::<()>(1);
    loop {
        let next = tokio::select! {
            next = client.accept() => next,
            _ = is_cut.recv() => return,
            _ = &mut upstream => return,
        };
        let Some(Ok((request, respond))) = next else { return };
        let (requests, shared, cut) = (requests.clone(), shared.clone(), cut.clone());
        tokio::spawn(async move {
            let _ = call(request, respond, requests, pid, &shared, &cut).await;
        });
    }
}

/// The service without its package, and the method: `Tasks.Start`.
fn method_of(path: &str) -> String {
    let (service, method) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
    format!("{}.{method}", service.rsplit('.').next().unwrap_or(service))
}

async fn call(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    requests: SendRequest<Bytes>,
    pid: i32,
    shared: &Shared,
    cut: &tokio::sync::mpsc::Sender<()>,
) -> Fallible<()> {
    let method = method_of(request.uri().path());
    let trapped = shared.count(&method);
    if trapped == Some(Side::Before) && !decide(shared, pid, &mut respond, cut).await? {
        return Ok(());
    }
    let mut requests = requests.ready().await?;
    let (head, body) = request.into_parts();
    let (answer, sending) = requests.send_request(Request::from_parts(head, ()), false)?;
    tokio::spawn(relay(body, sending));
    let answer = tokio::select! {
        // The client has lost interest, or is dead.
        _ = std::future::poll_fn(|context| respond.poll_reset(context)) => return Ok(()),
        answer = answer => answer?,
    };
    let (head, body) = answer.into_parts();
    if trapped == Some(Side::After) && !decide(shared, pid, &mut respond, cut).await? {
        return Ok(());
    }
    shared.answered.send_if_modified(|methods| methods.insert(method.clone()));
    let ended = body.is_end_stream();
    let sending = respond.send_response(Response::from_parts(head, ()), ended)?;
    if ended {
        return Ok(());
    }
    let muted = STREAMS.contains(&method.as_str()).then(|| shared.muted.subscribe());
    relay_answer(body, sending, muted).await
}

impl Shared {
    /// Count a call; where is it to be stopped?
    fn count(&self, method: &str) -> Option<Side> {
        let mut state = self.state.lock().unwrap();
        if !state.counting || STREAMS.contains(&method) {
            return None;
        }
        state.calls.push(method.to_owned());
        let all = state.calls.len();
        let count = state.counts.entry(method.to_owned()).or_default();
        *count += 1;
        let count = *count;
        let trap = state.trap.as_ref()?;
        let here = match &trap.method {
            Some(wanted) => wanted == method && trap.nth == count,
            None => trap.nth == all,
        };
        if here { state.trap.take().map(|trap| trap.side) } else { None }
    }
}

/// Stop a call and wait for what is to become of it. True if it goes on.
async fn decide(
    shared: &Shared,
    pid: i32,
    respond: &mut SendResponse<Bytes>,
    cut: &tokio::sync::mpsc::Sender<()>,
) -> Fallible<bool> {
    let (fate, decided) = oneshot::channel();
    (shared.on_hit)(Hit { pid, fate });
    match decided.await.unwrap_or(Fate::Pass) {
        Fate::Pass => Ok(true),
        Fate::Cut => {
            let _ = cut.send(()).await;
            Ok(false)
        }
        Fate::Refuse(code) => {
            let answer = Response::builder()
                .header("content-type", "application/grpc")
                .header("grpc-status", code.to_string())
                .header("grpc-message", "refused for the test")
                .body(())?;
            respond.send_response(answer, true)?;
            Ok(false)
        }
        Fate::Silence => {
            let _ = std::future::poll_fn(|context| respond.poll_reset(context)).await;
            Ok(false)
        }
    }
}

/// Pass on a body to its end.
async fn relay(mut from: RecvStream, mut to: SendStream<Bytes>) -> Fallible<()> {
    while let Some(data) = from.data().await {
        let data = data?;
        from.flow_control().release_capacity(data.len())?;
        to.send_data(data, false)?;
    }
    end(from, to).await
}

async fn end(mut from: RecvStream, mut to: SendStream<Bytes>) -> Fallible<()> {
    match from.trailers().await? {
        Some(trailers) => to.send_trailers(trailers)?,
        None => to.send_data(Bytes::new(), true)?,
    }
    Ok(())
}

/// Pass on an answer, events only while they are not kept back, until the client is gone.
async fn relay_answer(
    mut from: RecvStream,
    mut to: SendStream<Bytes>,
    mut muted: Option<watch::Receiver<bool>>,
) -> Fallible<()> {
    loop {
        let data = tokio::select! {
            _ = std::future::poll_fn(|context| to.poll_reset(context)) => return Ok(()),
            data = from.data() => data,
        };
        let Some(data) = data else { break };
        let data = data?;
        if let Some(muted) = &mut muted {
            muted.wait_for(|muted| !muted).await?;
        }
        from.flow_control().release_capacity(data.len())?;
        to.send_data(data, false)?;
    }
    end(from, to).await
}
