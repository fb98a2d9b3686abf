//! Reports of holders that gave what is not the content (decision 21). One account's reports rank a holder last for a
//! publication, those of [`ENOUGH`] accounts un-list it there: the holder's own account counts as one of them. A report is
//! about one publication, so that an account which publishes the same bytes itself has no say on others' holders.
//!
//! A report loses its force after [`LIFETIME`], and when the holder tells anew that it holds all of the publication. What is
//! told anew is a change of its own: the run of changes that is sent a second time because its answer was lost, and what a
//! full resend of the index repeats, say nothing new, and clear nothing.

use std::time::Duration;

use p2p_proto::rest::reports::ReportRequest;

use super::{Reply, Session};

/// So many accounts un-list a holder.
pub const ENOUGH: u32 = 2;

/// How long a report counts.
pub const LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// What came of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reported {
    /// It counts, for the first time.
    New,
    /// It counts as long again.
    Again,
    /// That peer is not known to hold it, or reports itself: nothing is kept.
    Ignored,
    /// The publication is not there for the caller.
    NotVisible,
    /// The account has the most reports there may be.
    TooMany,
}

/// Keeps reports.
pub trait ReportStore: Send + Sync {
    /// Stores the report of the session's account, which has at most `most` that count.
    fn report<'a>(
        &'a self,
        session: &'a Session,
        request: &'a ReportRequest,
        most: u64,
    ) -> Reply<'a, Reported>;
}
