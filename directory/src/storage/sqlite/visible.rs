//! What an account may see, as parts of queries: in each of them `?1` is the caller's account, `p` a publication and `u`
//! its owner. The one place that knows what a visibility means.

/// This account (an expression; `?1` when left out) may see what has the row's visibility and owner.
macro_rules! seen {
    ($table:literal) => {
        seen!($table, "?1")
    };
    ($table:literal, $account:literal) => {
        concat!(
            "(",
            $table,
            ".visibility = 'public' OR ",
            $table,
            ".owner = ",
            $account,
            " OR ",
            $table,
            ".visibility IN (SELECT 'group:' || m.of_group FROM members m WHERE m.user = ",
            $account,
            "))"
        )
    };
}

/// The publication is there for the caller.
macro_rules! visible {
    ($table:literal) => {
        concat!($table, ".withdrawn_at IS NULL AND ", seen!($table))
    };
}

/// What makes a [`p2p_proto::rest::publications::Publication`].
macro_rules! columns {
    () => {
        "p.id, u.name AS owner_name, p.name, p.version, p.hash, p.size, p.visibility, p.published_at"
    };
}

/// The visible publications that also fit the rest of the query.
macro_rules! select {
    ($rest:expr) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM publications p JOIN users u ON u.id = p.owner WHERE ",
            visible!("p"),
            $rest
        )
    };
}

/// The caller sees no later version of the name.
macro_rules! newest {
    () => {
        concat!(
            "NOT EXISTS (SELECT 1 FROM publications n WHERE n.owner = p.owner AND n.name = p.name \
             AND n.version > p.version AND ",
            visible!("n"),
            ")"
        )
    };
}

pub(super) use {columns, newest, seen, select, visible};
