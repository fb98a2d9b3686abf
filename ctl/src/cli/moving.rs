//! What `upload`, `replicate`, `verify` and the verbs on transfers take. Owns no state.

use clap::{ArgGroup, Args};
use p2p_proto::v1::CopiesWanted;

use super::values::{peer_pattern, transfer_id};

/// How many copies, or where.
#[derive(Debug, Args)]
pub(crate) struct CopiesArgs {
    /// How many peers shall hold it in all, 1 to 64, this one counted
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) copies: Option<u32>,
    /// A peer that shall hold it, by name or id; * and ? match several; may be given again
    #[arg(long, value_name = "PEER|GLOB", value_parser = peer_pattern)]
    pub(crate) to: Vec<String>,
}

impl CopiesArgs {
    /// The wish; `None` when nothing was asked.
    pub(crate) fn wanted(&self) -> Option<CopiesWanted> {
        (self.copies.is_some() || !self.to.is_empty()).then(|| CopiesWanted {
            count: self.copies.unwrap_or_default(),
            to: self.to.clone(),
        })
    }
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("wish").args(["copies", "to"]).required(true).multiple(true)))]
pub(crate) struct ReplicateArgs {
    /// NAME, OWNER/NAME, NAME@VERSION, a hash, or 8 or more digits of one
    #[arg(value_name = "REF")]
    pub(crate) reference: String,
    #[command(flatten)]
    pub(crate) copies: CopiesArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TransfersArgs {
    /// Show each change until Ctrl-C
    #[arg(long)]
    pub(crate) watch: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TransferArgs {
    /// The transfer's number, as `transfers` shows it
    #[arg(value_name = "ID", value_parser = transfer_id)]
    pub(crate) id: String,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// NAME, OWNER/NAME, NAME@VERSION, a hash, or 8 or more digits of one [default: everything stored here]
    #[arg(value_name = "REF")]
    pub(crate) reference: Option<String>,
}
