//! `p2p-data/1`: headers, and both sides of a connection on what the other one might send, in chunks of any size.
//!
//! An input is a byte that says which side, one for the number of chunk lengths, these, and then what comes.

use std::sync::Arc;

use jiff::Timestamp;
use p2p_daemon::{
    meter::Meter,
    peer::{
        access::{Access, Authority},
        frames::{
            codec::{Frame, HEADER_LEN, MAX_PIECE, Range, UNIT},
            receiver::{ReceiveError, Receiver},
            sender,
        },
        server::Said,
    },
    store::{Buffer, GROUP, Purpose, Store, StoreConfig},
    transfer::progress::Heard,
};
use p2p_proto::{
    ContentHash, PeerId, PeerIdentity, Visibility,
    grant::{Action, BadGrant, Grant, MAX_TOKEN},
    rest::publications::Publication,
};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

use super::{
    input::Input,
    model::{self, End},
    script::Script,
};

/// The token that opens the content. Real ones are the grants target's business.
const TOKEN: &str = "open sesame";

/// Bytes of the content: one group and some more.
const SIZE: usize = GROUP as usize + 9;

/// What the reader asks for, again and again: where, and how many bytes. Short ones, as inputs are.
const ASKED: [(u64, u32); 3] = [(GROUP, 9), (0, 1), (3 * GROUP, 100)];

/// A holder with one content.
pub struct Frames {
    access: Access,
    content: Vec<u8>,
    // Before the folder: the store's last handle goes with it.
    runtime: Runtime,
    _folder: TempDir,
}

struct OneToken(Grant);

impl Authority for OneToken {
    fn check(&self, token: &str, _: &PeerIdentity, _: Action) -> Result<Grant, BadGrant> {
        (token == TOKEN)
            .then(|| self.0.clone())
            .ok_or(BadGrant::BadSignature)
    }

    fn still_valid(&self, _: &Grant) -> bool {
        true
    }
}

impl Default for Frames {
    fn default() -> Self {
        Self::new()
    }
}

impl Frames {
    /// Imports the content into a store of its own.
    ///
    /// # Panics
    /// When the store cannot be made.
    #[must_use]
    pub fn new() -> Self {
        // The holder reads with `block_in_place`, which this kind has.
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let content: Vec<u8> = (0..SIZE).map(|at| (at % 251) as u8).collect();
        let config = StoreConfig {
            path: folder.path().join("store"),
            max_size: None,
            reserve_free: 0,
        };
        let access = runtime.block_on(holder(config, &content));
        Self {
            access,
            content,
            runtime,
            _folder: folder,
        }
    }

    /// One input.
    ///
    /// # Panics
    /// When the codec, the holder or the reader is wrong.
    pub fn run(&self, data: &[u8]) {
        let mut input = Input::new(data);
        let (side, count) = (input.byte(), input.byte());
        let chunks = input.take(usize::from(count % 8));
        let comes = input.rest();
        for header in comes.windows(HEADER_LEN) {
            header_is_canonical(header.try_into().expect("a header's length"));
        }
        self.runtime.block_on(async {
            if side % 2 == 0 {
                self.serve(comes, &[]).await;
                self.serve(comes, chunks).await;
            } else {
                assert_eq!(read(comes, &[]).await, read(comes, chunks).await);
            }
        });
    }

    /// The holder's side answers what the model does, however the bytes come.
    async fn serve(&self, comes: &[u8], chunks: &[u8]) {
        let peer = PeerIdentity {
            cluster: Uuid::nil(),
            user: Uuid::nil(),
            peer: PeerId::of_spki(b"reader"),
        };
        let mut script = Script::new(comes, chunks);
        let meter = Meter::default();
        let ended = sender::serve(&mut script, &peer, &self.access, &meter, &Said::default()).await;
        let (sent, end) = model::answers(comes, TOKEN.as_bytes(), &self.content);
        assert_eq!(ended.is_ok(), end == End::Closed, "{ended:?} where {end:?}");
        assert!(script.sent == sent, "answered {:?}", heads(&script.sent, &sent));
    }
}

/// Where two answers differ, short enough to read.
fn heads(one: &[u8], other: &[u8]) -> (usize, usize, Option<usize>) {
    let differs = one.iter().zip(other).position(|(a, b)| a != b);
    (one.len(), other.len(), differs)
}

/// What decodes encodes the same, and stays in its bounds.
fn header_is_canonical(header: &[u8; HEADER_LEN]) {
    let Ok(frame) = Frame::decode(header) else {
        return;
    };
    assert_eq!(frame.encode(), *header, "{frame:?}");
    match frame {
        Frame::Open { length } => assert!(length as usize <= MAX_TOKEN, "{frame:?}"),
        Frame::Read(range) | Frame::Piece(range) => {
            assert!((1..=MAX_PIECE).contains(&range.length), "{range:?}");
            assert!(range.request != 0 && range.offset % UNIT == 0, "{range:?}");
            assert!(
                range.offset.checked_add(range.length.into()).is_some(),
                "{range:?}"
            );
        }
        Frame::Opened { .. } | Frame::Refused { .. } => {}
    }
}

/// The reader's side: what it takes is what came under the very header that it asked for. Gives how far it came.
async fn read(comes: &[u8], chunks: &[u8]) -> usize {
    let script = Script::new(comes, chunks);
    let mut expected = comes;
    let opened = Receiver::open(script, TOKEN, SIZE as u64, Heard::default()).await;
    let right = Frame::Opened { size: SIZE as u64 };
    let is_opened = take(&mut expected, HEADER_LEN) == Some(&right.encode()[..]);
    assert_eq!(opened.is_ok(), is_opened);
    let Ok(mut receiver) = opened else {
        return 0;
    };
    let mut buffer = Buffer::new();
    for (pieces, (offset, length)) in ASKED.into_iter().cycle().enumerate() {
        let Ok(asked) = receiver.request(offset, length).await else {
            return pieces;
        };
        match receiver.piece(&asked, &mut buffer).await {
            Ok(bytes) => {
                let header = take(&mut expected, HEADER_LEN);
                assert_eq!(header, Some(&Frame::Piece(asked).encode()[..]));
                assert!(Some(bytes) == take(&mut expected, length as usize));
            }
            Err(error) => {
                assert!(!was_sent(expected, asked), "{error}");
                let refused = expected.first_chunk().map(Frame::decode);
                let is_refusal =
                    matches!(refused, Some(Ok(Frame::Refused { request, .. })) if request == asked.request);
                assert_eq!(matches!(error, ReceiveError::Refused(_)), is_refusal, "{error}");
                return pieces;
            }
        }
    }
    unreachable!("the reader goes on until an error")
}

/// Whether the piece is there, whole.
fn was_sent(mut comes: &[u8], asked: Range) -> bool {
    take(&mut comes, HEADER_LEN) == Some(&Frame::Piece(asked).encode()[..])
        && comes.len() >= asked.length as usize
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

async fn holder(config: StoreConfig, content: &[u8]) -> Access {
    let store = Store::open(config).await.expect("a store");
    let mut import = store.import_stream().await.expect("an import");
    import.push(content.to_vec().into()).await.expect("a push");
    let imported = import.finish(Purpose::Nothing).await.expect("a content");
    assert_eq!(imported.hash, ContentHash::of(content));
    let publication = Publication {
        id: Uuid::from_u128(1),
        owner: "ana".parse().expect("a name"),
        name: "scan.tar".parse().expect("a name"),
        version: 1,
        hash: imported.hash,
        size: imported.size,
        visibility: Visibility::Public,
        published_at: Timestamp::UNIX_EPOCH,
    };
    store.add_hold(&publication).await.expect("a hold");
    let grant = Grant {
        cluster: Uuid::nil(),
        publication: publication.id,
        hash: imported.hash,
        peer: PeerId::of_spki(b"reader"),
        action: Action::Read,
        iat: 0,
        exp: i64::MAX,
        offline_exp: i64::MAX,
    };
    Access::new(Arc::new(OneToken(grant)), store)
}
