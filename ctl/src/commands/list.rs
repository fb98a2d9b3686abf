//! `list`: what this peer holds.

use p2p_proto::{
    ByteCount,
    v1::{HeldFile, ListRequest},
};

use crate::{
    context::Context,
    exit::Stop,
    output::{json, progress::Step, short_hash, state_paint, table::Column},
};

const COLUMNS: [Column; 7] = [
    Column::name("NAME"),
    Column::text("OWNER").spare(1),
    Column::number("SIZE"),
    Column::text("HASH").spare(2),
    Column::text("VISIBILITY").spare(3),
    Column::number("COPIES").spare(4),
    Column::text("STATE").painted(state_paint),
];

/// Shows what this peer holds.
pub(crate) async fn run(ctx: &Context) -> Result<(), Stop> {
    let mut daemon = ctx.connect().await?;
    let answer = daemon.client.list(ListRequest {}).await;
    let list = answer.map_err(|status| daemon.failure(status))?.into_inner();
    if ctx.out.is_json() {
        return ctx.out.json("list", &json::List::from(list));
    }
    if list.files.is_empty() {
        ctx.out
            .note("This peer holds no file. To publish one: p2pctl upload PATH");
        return Ok(());
    }
    ctx.out.table(&COLUMNS, list.files.into_iter().map(row))
}

fn row(held: HeldFile) -> [String; 7] {
    let publication = held.publication.unwrap_or_default();
    let mut state = held.state;
    if state == "partial" {
        let step = Step {
            done: held.stored_bytes,
            total: Some(publication.size),
            rate: 0,
        };
        state = format!("{state} {} %", step.percent().unwrap_or_default());
    }
    if held.pinned {
        state.push_str(", pinned");
    }
    [
        format!("{}@{}", publication.name, publication.version),
        publication.owner,
        ByteCount(publication.size).to_string(),
        short_hash(&publication.hash),
        publication.visibility,
        held.copies_known
            .map_or_else(|| "-".to_owned(), |copies| copies.to_string()),
        state,
    ]
}

#[cfg(test)]
mod tests {
    use p2p_proto::v1::Publication;

    use super::*;

    #[test]
    fn a_row_says_how_much_is_here() {
        let held = HeldFile {
            publication: Some(Publication {
                owner: "ana".into(),
                name: "scan.tar".into(),
                version: 2,
                hash: "5c0a91e7ff".into(),
                size: 200 << 20,
                visibility: "public".into(),
                ..Publication::default()
            }),
            pinned: true,
            state: "partial".into(),
            stored_bytes: 50 << 20,
            copies_known: Some(3),
        };
        let expected = [
            "scan.tar@2",
            "ana",
            "200 MiB",
            "5c0a91e7…",
            "public",
            "3",
            "partial 25 %, pinned",
        ];
        assert_eq!(row(held.clone()), expected);
        let damaged = HeldFile {
            pinned: false,
            state: "damaged".into(),
            copies_known: None,
            ..held
        };
        assert_eq!(row(damaged)[5..], ["-", "damaged"]);
    }
}
