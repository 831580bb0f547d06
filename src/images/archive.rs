//! The archive of a layer as it comes: in pieces, perhaps packed, and hashed while it is read.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use oci_spec::image::MediaType;
use ring::digest::{Context, SHA256};
use tokio::sync::mpsc;

use super::entry::{self, Entry, unusual};

/// Bytes that are unpacked, hashed and written at a time.
pub(crate) const PIECE: usize = 64 << 10;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Returns whether a layer is an archive as it is, or packed by gzip.
pub(crate) fn is_plain(media_type: &MediaType) -> bool {
    matches!(
        media_type.to_string().as_str(),
        "application/vnd.oci.image.layer.v1.tar"
            | "application/vnd.oci.image.layer.v1.tar+gzip"
            | "application/vnd.docker.image.rootfs.diff.tar"
            | "application/vnd.docker.image.rootfs.diff.tar.gzip"
    )
}

/// Returns whether a layer of this type is to be looked at for whether it is packed. containerd does not do so if it is
/// said to be plain.
pub(crate) fn may_be_packed(media_type: &MediaType) -> bool {
    *media_type != MediaType::ImageLayer
}

/// Call a function for each entry of an archive, with the content of a file. Returns the digest of the archive. The
/// archive is read to its end, with what is behind its last entry.
pub(crate) fn each<'a>(
    packed: impl Read + 'a,
    may_be_packed: bool,
    mut take: impl FnMut(Entry, &mut dyn Read) -> io::Result<()>,
) -> io::Result<String> {
    let mut packed = BufReader::with_capacity(PIECE, packed);
    let is_gzip = may_be_packed && packed.fill_buf()?.starts_with(&GZIP);
    if may_be_packed && packed.fill_buf()?.starts_with(&ZSTD) {
        return Err(unusual("an archive that is packed by zstd"));
    }
    let archive: Box<dyn Read + 'a> =
        if is_gzip { Box::new(MultiGzDecoder::new(packed)) } else { Box::new(packed) };
    let mut hashed = Hashed::new(archive);
    let mut whole = BufReader::with_capacity(PIECE, &mut hashed);
    entry::each(&mut whole, |entry, content| take(entry, content))?;
    // The bytes behind the end of the archive are part of the digest.
    io::copy(&mut whole, &mut io::sink())?;
    Ok(hashed.finish())
}

/// Bytes that are hashed as they are read.
pub(crate) struct Hashed<R> {
    bytes: R,
    hash: Context,
}

impl<R: Read> Hashed<R> {
    pub(crate) fn new(bytes: R) -> Self {
        Self { bytes, hash: Context::new(&SHA256) }
    }

    /// The digest of those that were read.
    pub(crate) fn finish(self) -> String {
        let digest = self.hash.finish();
        let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256:{hex}")
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.bytes.read(into)?;
        self.hash.update(into.get(..length).unwrap_or_default());
        Ok(length)
    }
}

/// The pieces of a layer as they come from another thread.
pub(crate) struct Pieces {
    receiver: mpsc::Receiver<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
}

impl From<mpsc::Receiver<Vec<u8>>> for Pieces {
    fn from(receiver: mpsc::Receiver<Vec<u8>>) -> Self {
        Self { receiver, piece: Vec::new(), at: 0 }
    }
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            let Some(piece) = self.receiver.blocking_recv() else { return Ok(0) };
            (self.piece, self.at) = (piece, 0);
        }
        let length = self.piece.get(self.at..).unwrap_or_default().read(into)?;
        self.at += length;
        Ok(length)
    }
}
