//! Fetches a file of the Hugging Face hub: on a thread of its own, to a folder of its own, checked before it is kept.

use std::fs::{self, File};
use std::io::Read;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use hf_hub::api::Progress;
use hf_hub::api::sync::{Api, ApiBuilder, ApiError};
use hf_hub::{Cache, Repo, RepoType};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::Step;
use super::published::Entry;
use crate::error::{Error, Kind, Result};

/// How often the caller hears of a download.
const BEAT: Duration = Duration::from_millis(50);

/// Where files come from and where they are kept.
#[derive(Debug)]
pub(super) struct Hub {
    /// The hub's address; the crate's own if there is none.
    pub endpoint: Option<String>,
    /// The folder of the cache.
    pub cache: PathBuf,
}

impl Hub {
    /// As `HF_ENDPOINT` and `HF_HOME` say.
    pub fn from_environment() -> Result<Self> {
        // the crate panics where there is no home
        if std::env::var_os("HF_HOME").is_none() && dirs::home_dir().is_none() {
            return Err(Error::new(Kind::File, "there is no home folder to keep weights in")
                .with_hint("set HF_HOME to a folder for them"));
        }
        let endpoint = std::env::var("HF_ENDPOINT").ok().filter(|endpoint| !endpoint.is_empty());
        Ok(Self { endpoint, cache: Cache::from_env().path().clone() })
    }
}

/// A file that has come but is not yet known to be the right one.
struct Arrived {
    path: PathBuf,
    /// The revision that was fetched, by its hash.
    commit: String,
    /// What the hub says of the file.
    sha256: String,
    size: u64,
}

/// What the thread of a download shares with who waits for it.
#[derive(Default)]
struct Shared {
    done: AtomicU64,
    total: AtomicU64,
    stop: AtomicBool,
}

/// The file in the cache, fetched if it is not there.
///
/// It is fetched to a folder of its own, and moved to its place when it is whole and its checksum right.
pub(super) fn fetch(entry: &Entry, hub: &Hub, step: Step<'_>) -> Result<PathBuf> {
    let repo = Repo::with_revision(entry.repository.to_owned(), RepoType::Model, entry.revision.to_owned());
    let cache = Cache::new(hub.cache.clone()).repo(repo.clone());
    if let Some(path) = cache.get(entry.file) {
        return Ok(path);
    }
    let unwritable = |error: std::io::Error| {
        let message = format!("the cache folder `{}` cannot be written: {error}", hub.cache.display());
        Error::new(Kind::File, message).with_hint("set HF_HOME to a folder that can")
    };
    fs::create_dir_all(&hub.cache).map_err(unwritable)?;
    let folder = tempfile::Builder::new().prefix(".percept-").tempdir_in(&hub.cache).map_err(unwritable)?;
    let folder = Arc::new(folder);

    let kept = download(entry, hub, repo, &folder, step).and_then(|arrived| {
        check(&arrived, entry, step)?;
        let place = cache.pointer_path(&arrived.commit);
        fs::create_dir_all(&place).map_err(unwritable)?;
        let place = place.join(entry.file);
        fs::rename(&arrived.path, &place).map_err(unwritable)?;
        cache.create_ref(&arrived.commit).map_err(unwritable)?;
        Ok(place)
    });
    // the thread holds the folder too, and would remove it only when it ends
    let _ = fs::remove_dir_all(folder.path());
    kept
}

/// Fetches the file into `folder` on a thread of its own, so that a silent network cannot hold up an interrupt.
fn download(entry: &Entry, hub: &Hub, repo: Repo, folder: &Arc<TempDir>, step: Step<'_>) -> Result<Arrived> {
    let api = api(hub, folder.path()).map_err(|error| explain(&error, entry, ""))?;
    let url = api.repo(repo.clone()).url(entry.file);
    let shared = Arc::new(Shared::default());
    let (sender, receiver) = channel();
    let thread = {
        let (shared, folder, url, file) = (shared.clone(), folder.clone(), url.clone(), entry.file);
        move || {
            let _ = sender.send(transfer(&api, repo, &url, file, &shared));
            drop(folder);
        }
    };
    std::thread::spawn(thread);
    loop {
        match receiver.recv_timeout(BEAT) {
            Ok(Ok(arrived)) => return Ok(arrived),
            Ok(Err(Failure::Api(error))) => return Err(explain(&error, entry, &url)),
            Ok(Err(Failure::Strange(what))) => {
                let error = Error::new(Kind::File, format!("{url} answers as no hub does: {what}"));
                return Err(error.with_hint("check HF_ENDPOINT"));
            }
            Err(RecvTimeoutError::Timeout) => {
                let (done, total) = (shared.done.load(Ordering::Relaxed), shared.total.load(Ordering::Relaxed));
                if let Err(error) = step(done, total) {
                    shared.stop.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::new(Kind::File, format!("the download of {url} ended unexpectedly")));
            }
        }
    }
}

fn api(hub: &Hub, folder: &Path) -> std::result::Result<Api, ApiError> {
    // public files need no token, so none is sent
    let builder =
        ApiBuilder::from_cache(Cache::new(folder.to_owned())).with_token(None).with_progress(false).with_retries(0);
    match &hub.endpoint {
        Some(endpoint) => builder.with_endpoint(endpoint.trim_end_matches('/').to_owned()),
        None => builder,
    }
    .build()
}

enum Failure {
    Api(Box<ApiError>),
    Strange(&'static str),
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Api(Box::new(error))
    }
}

fn transfer(api: &Api, repo: Repo, url: &str, file: &str, shared: &Arc<Shared>) -> Result<Arrived, Failure> {
    let about = api.metadata(url)?;
    // both become names of files
    let hexadecimal = |text: &str, length: usize| text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit());
    if !hexadecimal(about.etag(), 64) {
        return Err(Failure::Strange("it does not state the file's SHA-256"));
    }
    if !hexadecimal(about.commit_hash(), 40) {
        return Err(Failure::Strange("it does not state the revision's hash"));
    }
    shared.total.store(about.size() as u64, Ordering::Relaxed);
    let path = api.repo(repo).download_with_progress(file, Meter(shared.clone()))?;
    let path = path.canonicalize().map_err(ApiError::from)?;
    let (commit, sha256) = (about.commit_hash().to_owned(), about.etag().to_ascii_lowercase());
    Ok(Arrived { path, commit, sha256, size: about.size() as u64 })
}

/// Counts what comes, and ends the thread once nobody wants it or more comes than was announced.
struct Meter(Arc<Shared>);

impl Progress for Meter {
    fn init(&mut self, _: usize, _: &str) {
        self.update(0);
    }

    fn update(&mut self, bytes: usize) {
        let Shared { done, total, stop } = &*self.0;
        let done = done.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        if stop.load(Ordering::Relaxed) || done > total.load(Ordering::Relaxed) {
            // the crate has no other way to stop; this prints nothing
            resume_unwind(Box::new("stopped"));
        }
    }

    fn finish(&mut self) {}
}

/// Compares the file with what the hub says of it.
fn check(arrived: &Arrived, entry: &Entry, step: Step<'_>) -> Result<()> {
    let Entry { repository, file, .. } = entry;
    let unreadable = |error: std::io::Error| Error::new(Kind::File, format!("{file} cannot be read: {error}"));
    let mut input = File::open(&arrived.path).map_err(unreadable)?;
    let size = input.metadata().map_err(unreadable)?.len();
    if size != arrived.size {
        let message = format!("{file} of {repository} broke off after {size} of {} bytes", arrived.size);
        return Err(Error::new(Kind::File, message).with_hint("try again"));
    }
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        let count = input.read(&mut buffer).map_err(unreadable)?;
        if count == 0 {
            break;
        }
        hash.update(buffer.get(..count).unwrap_or_default());
        step(size, size)?;
    }
    let found: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if found != arrived.sha256 {
        let message = format!("{file} of {repository} has SHA-256 {found}, but the hub states {}", arrived.sha256);
        return Err(Error::new(Kind::File, message).with_hint("it came damaged; try again"));
    }
    Ok(())
}

fn explain(error: &ApiError, entry: &Entry, url: &str) -> Error {
    let Entry { repository, file, .. } = entry;
    let instead =
        format!("fetch {url} where there is a network and give weights=\"{file}\", or take weights=\"random\"");
    let why = match error {
        ApiError::RequestError(error) => match &**error {
            ureq::Error::StatusCode(401 | 403 | 404) => {
                let message = format!("the hub has no public file {file} of {repository}");
                return Error::new(Kind::File, message).with_hint(format!("it was asked for {url}"));
            }
            ureq::Error::StatusCode(status) => {
                let message = format!("the hub answers with status {status} to {url}");
                return Error::new(Kind::File, message).with_hint("try again later");
            }
            other => other.to_string(),
        },
        ApiError::MissingHeader(_) | ApiError::InvalidHeader(_) | ApiError::ParseIntError(_) => {
            let message = format!("{url} answers as no hub does: {}", error.to_string().to_lowercase());
            return Error::new(Kind::File, message).with_hint("check HF_ENDPOINT");
        }
        other => other.to_string(),
    };
    Error::new(Kind::File, format!("{file} of {repository} cannot be fetched: {why}")).with_hint(instead)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::atomic::AtomicUsize;

    use super::*;

    const ENTRY: Entry =
        Entry { model: "toy", repository: "someone/toy", revision: "main", file: "model.safetensors", renames: &[] };
    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
    const FILE: &str = "/someone/toy/resolve/main/model.safetensors";

    /// How a server answers, and how it misbehaves.
    struct Server {
        body: Vec<u8>,
        etag: String,
        status: Option<u16>,
        /// Closes the connection after so many bytes of the body, or says nothing more.
        cut: Option<usize>,
        silent: bool,
        /// Sends the file from another address, as the hub does with large ones.
        redirect: bool,
        /// A header that is left out.
        without: &'static str,
    }

    impl Server {
        fn good(body: &[u8]) -> Self {
            let etag = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
            Self { body: body.to_vec(), etag, status: None, cut: None, silent: false, redirect: false, without: "-" }
        }

        /// Answers one request.
        fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
            let mut reader = BufReader::new(stream.try_clone()?);
            let (mut first, mut range) = (String::new(), String::new());
            reader.read_line(&mut first)?;
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line)? == 0 || line == "\r\n" {
                    break;
                }
                if line.to_lowercase().starts_with("range:") {
                    range = line.split('=').nth(1).unwrap_or_default().trim().to_owned();
                }
            }
            let path = first.split(' ').nth(1).unwrap_or_default();
            let mut headers = String::new();
            let header = |headers: &mut String, name: &str, value: &str| {
                if name != self.without {
                    *headers += &format!("{name}: {value}\r\n");
                }
            };
            header(&mut headers, "Connection", "close");
            header(&mut headers, "X-Repo-Commit", COMMIT);
            if let Some(status) = self.status.or((path != FILE && path != "/large").then_some(404)) {
                return write!(stream, "HTTP/1.1 {status} No\r\nContent-Length: 0\r\n{headers}\r\n");
            }
            if self.redirect && path == FILE {
                header(&mut headers, "X-Linked-ETag", &format!("\"{}\"", self.etag));
                header(&mut headers, "Location", &format!("http://{}/large", stream.local_addr()?));
                return write!(stream, "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n{headers}\r\n");
            }
            let whole = range != "0-0";
            let body = if whole { &self.body[..] } else { &self.body[..1] };
            let etag = if self.redirect { "of the storage" } else { &self.etag };
            header(&mut headers, "ETag", &format!("\"{etag}\""));
            header(&mut headers, "Content-Range", &format!("bytes 0-{}/{}", body.len() - 1, self.body.len()));
            write!(stream, "HTTP/1.1 206 Partial\r\nContent-Length: {}\r\n{headers}\r\n", body.len())?;
            let cut = self.cut.filter(|_| whole).unwrap_or(body.len());
            stream.write_all(&body[..cut])?;
            if whole && self.silent {
                // until the other side hangs up
                reader.read_line(&mut String::new())?;
            }
            Ok(())
        }

        /// The address it listens at, and how many requests it has got.
        fn start(self) -> (String, Arc<AtomicUsize>) {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = format!("http://{}", listener.local_addr().unwrap());
            let count = Arc::new(AtomicUsize::new(0));
            let counter = count.clone();
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    counter.fetch_add(1, Ordering::Relaxed);
                    let _ = self.answer(stream);
                }
            });
            (address, count)
        }
    }

    fn hub(endpoint: &str, folder: &TempDir) -> Hub {
        Hub { endpoint: Some(endpoint.to_owned()), cache: folder.path().join("hub") }
    }

    /// Everything in a folder, however deep.
    fn files(folder: &Path) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
        let paths = entries.flatten().map(|entry| entry.path());
        paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
    }

    fn body() -> Vec<u8> {
        (0..300_000u32).map(|i| (i % 251) as u8).collect()
    }

    /// The error of a fetch, which leaves nothing behind.
    fn fault(server: Server) -> Error {
        let folder = tempfile::tempdir().unwrap();
        let (endpoint, _) = server.start();
        let error = fetch(&ENTRY, &hub(&endpoint, &folder), &mut |_, _| Ok(())).unwrap_err();
        assert_eq!(error.kind(), Kind::File);
        assert_eq!(files(folder.path()), Vec::<PathBuf>::new());
        error
    }

    #[test]
    fn a_file_is_fetched_once_and_kept_where_others_find_it() {
        for redirect in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let (endpoint, count) = Server { redirect, ..Server::good(&body()) }.start();
            let hub = hub(&(endpoint + "/"), &folder);
            let mut last = (0, 0);
            let path = fetch(&ENTRY, &hub, &mut |done, total| {
                last = (done, total);
                Ok(())
            });
            let path = path.unwrap();
            assert_eq!(fs::read(&path).unwrap(), body());
            assert_eq!(last, (300_000, 300_000));
            let requests = count.load(Ordering::Relaxed);
            assert_eq!(fetch(&ENTRY, &hub, &mut |_, _| Ok(())).unwrap(), path);
            assert_eq!(count.load(Ordering::Relaxed), requests, "the cache is used");
            let place = hub.cache.join("models--someone--toy");
            assert_eq!(path, place.join("snapshots").join(COMMIT).join("model.safetensors"));
            assert_eq!(fs::read_to_string(place.join("refs/main")).unwrap(), COMMIT);
            assert_eq!(files(folder.path()).len(), 2);
        }
    }

    #[test]
    fn a_wrong_checksum_is_refused() {
        let error = fault(Server { etag: "0".repeat(64), ..Server::good(&body()) });
        assert!(error.message().contains("has SHA-256 ") && error.message().contains(&"0".repeat(64)), "{error}");
    }

    #[test]
    fn a_file_that_breaks_off_is_refused() {
        let error = fault(Server { cut: Some(100_000), ..Server::good(&body()) });
        assert!(error.message().starts_with("model.safetensors of someone/toy "), "{error}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named_with_its_address() {
        for status in [404, 401] {
            let error = fault(Server { status: Some(status), ..Server::good(&body()) });
            assert_eq!(error.message(), "the hub has no public file model.safetensors of someone/toy");
            assert!(error.hint().unwrap().ends_with(FILE), "{error}");
        }
        let error = fault(Server { status: Some(503), ..Server::good(&body()) });
        assert!(error.message().contains("status 503"), "{error}");
    }

    #[test]
    fn what_is_no_hub_is_told() {
        for (without, named) in
            [("ETag", "etag"), ("X-Repo-Commit", "x-repo-commit"), ("Content-Range", "content-range")]
        {
            let error = fault(Server { without, ..Server::good(&body()) });
            assert!(error.message().contains("answers as no hub does"), "{error}");
            assert!(error.message().to_lowercase().contains(named), "{error}");
        }
        for etag in ["../../../etc/passwd", "abc"] {
            let error = fault(Server { etag: etag.to_owned(), ..Server::good(&body()) });
            assert!(error.message().contains("does not state the file's SHA-256"), "{error}");
        }
    }

    #[test]
    fn without_a_network_it_says_what_to_do_instead() {
        let folder = tempfile::tempdir().unwrap();
        // nobody listens where a listener was
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = fetch(&ENTRY, &hub(&format!("http://{address}"), &folder), &mut |_, _| Ok(())).unwrap_err();
        assert!(error.message().contains("cannot be fetched"), "{error}");
        let hint = error.hint().unwrap();
        assert!(hint.contains(FILE) && hint.contains("weights=\"model.safetensors\""), "{hint}");
        assert_eq!(files(folder.path()), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("hub"), "a file where the folder should be").unwrap();
        let (endpoint, count) = Server::good(&body()).start();
        let error = fetch(&ENTRY, &hub(&endpoint, &folder), &mut |_, _| Ok(())).unwrap_err();
        assert!(error.message().contains("cannot be written"), "{error}");
        assert!(error.hint().unwrap().contains("HF_HOME"), "{error}");
        assert_eq!(count.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn an_interrupt_ends_a_download_that_says_nothing_more() {
        let folder = tempfile::tempdir().unwrap();
        let (endpoint, _) = Server { cut: Some(1000), silent: true, ..Server::good(&body()) }.start();
        let error = fetch(&ENTRY, &hub(&endpoint, &folder), &mut |done, total| {
            if done == 1000 && total == 300_000 { Err(Error::interrupted()) } else { Ok(()) }
        });
        assert_eq!(error.unwrap_err().kind(), Kind::Interrupted);
        assert_eq!(files(folder.path()), Vec::<PathBuf>::new());
    }
}
