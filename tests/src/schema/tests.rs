//! The checker itself.

use serde_json::json;

use super::*;

fn schemas() -> Schemas {
    let held = json!({"type": "object", "required": ["name", "size"], "additionalProperties": false,
        "properties": {"name": {"type": "string", "pattern": "^[a-z]+$"}, "size": {"$ref": "common.json#/$defs/count"},
                       "why": {"enum": ["full", null]}}});
    let list = json!({"type": "object", "required": ["files"], "additionalProperties": false,
        "properties": {"files": {"type": "array", "items": {"$ref": "held.json"}},
                       "by": {"anyOf": [{"type": "null"}, {"const": "ana"}]}}});
    let common = json!({"$defs": {"count": {"type": "integer", "minimum": 0}}});
    let all = [("held", held), ("list", list), ("common", common)];
    Schemas {
        all: all.map(|(name, schema)| (name.to_owned(), schema)).into(),
        present: RefCell::default(),
    }
}

#[test]
fn what_fits_and_what_does_not() {
    let schemas = schemas();
    let good =
        json!({"files": [{"name": "a", "size": 1}, {"name": "b", "size": 0, "why": null}], "by": "ana"});
    assert_eq!(schemas.check("list", &good), Ok(()));
    for (bad, why) in [
        (json!([]), ": [] is against type \"object\""),
        (json!({}), ": no files"),
        (json!({"files": [], "more": 1}), "/more: is not known"),
        (json!({"files": [{"name": "a"}]}), "/files/0: no size"),
        (
            json!({"files": [{"name": "a", "size": -1}]}),
            "/files/0/size: -1 is against minimum 0",
        ),
        (
            json!({"files": [{"name": "a", "size": 1.5}]}),
            "/files/0/size: 1.5 is against type \"integer\"",
        ),
        (
            json!({"files": [{"name": "A", "size": 1}]}),
            "/files/0/name: \"A\" is against pattern \"^[a-z]+$\"",
        ),
        (
            json!({"files": [{"name": "a", "size": 1, "why": "x"}]}),
            "/files/0/why: \"x\" is against enum [\"full\",null]",
        ),
        (
            json!({"files": [], "by": "bea"}),
            "/by: \"bea\" is against type \"null\", or /by: \"bea\" is against const \"ana\"",
        ),
    ] {
        assert_eq!(schemas.check("list", &bad), Err(why.to_owned()));
    }
    assert!(schemas.unnoticed("list", &good).is_empty());
}

#[test]
fn what_was_never_there_is_told() {
    let schemas = schemas();
    let without = json!({"files": [{"name": "a", "size": 1}]});
    assert_eq!(schemas.check("list", &without), Ok(()));
    assert_eq!(schemas.never_present(), ["held why", "list by"]);
    let with_one = json!({"files": [{"name": "a", "size": 1, "why": "full"}]});
    assert_eq!(schemas.check("list", &with_one), Ok(()));
    assert_eq!(schemas.never_present(), ["list by"]);
}

#[test]
#[should_panic(expected = "maxLength is not checked here")]
fn what_is_not_checked_is_told() {
    let all = [("x".to_owned(), json!({"maxLength": 3}))].into();
    let schemas = Schemas {
        all,
        present: RefCell::default(),
    };
    let _ = schemas.check("x", &json!("long"));
}

#[test]
#[should_panic(expected = "an object with any fields")]
fn an_open_object_is_told() {
    strict("x", &json!({"items": {"type": "object", "properties": {}}}));
}
