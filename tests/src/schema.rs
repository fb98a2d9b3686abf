//! JSON Schemas of what the programs print, and a checker of the part of the language that they use: `type`, `const`,
//! `enum`, `pattern`, `minimum`, `required`, `properties`, `additionalProperties: false`, `items`, `anyOf`, and `$ref`
//! into the same folder. Any other word in a schema is an error, so that nothing is believed to be checked that is not.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use regex::Regex;
use serde_json::{Map, Value};

/// Words that say nothing about a value.
const SILENT: [&str; 3] = ["$schema", "$defs", "description"];

/// All schemas of a folder, by the name of their file without `.json`.
pub struct Schemas {
    all: BTreeMap<String, Value>,
    /// Of each object in a schema, by where it is in memory, the fields that values had.
    present: RefCell<BTreeMap<usize, BTreeSet<String>>>,
}

impl Schemas {
    /// Reads them. Each object in them must list its fields, and allow no others.
    ///
    /// # Panics
    /// When one cannot be read, or is not as strict.
    #[must_use]
    pub fn load(folder: &Path) -> Self {
        let mut all = BTreeMap::new();
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            let name = path.file_stem().and_then(|name| name.to_str()).expect("a name");
            let text = fs::read_to_string(&path).expect("a schema");
            let schema = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            strict(name, &schema);
            all.insert(name.to_owned(), schema);
        }
        Self {
            all,
            present: RefCell::default(),
        }
    }

    /// The fields that may be missing, and were in every value that was checked.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn never_present(&self) -> Vec<String> {
        let present = self.present.borrow();
        let mut out = Vec::new();
        for (name, schema) in &self.all {
            for place in objects(schema, "") {
                let words = schema
                    .pointer(&place)
                    .and_then(Value::as_object)
                    .expect("an object");
                let seen = present.get(&std::ptr::from_ref(words).addr());
                let missing = |field: &&&str| seen.is_none_or(|seen| !seen.contains(**field));
                out.extend(
                    may_be_missing(words)
                        .iter()
                        .filter(missing)
                        .map(|field| format!("{name}{place} {field}")),
                );
            }
        }
        out
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.all.keys().map(String::as_str)
    }

    /// Whether the value is as this schema says; where not, the place and the reason.
    ///
    /// # Errors
    /// These.
    ///
    /// # Panics
    /// When there is no such schema, or it says what this checker does not know.
    pub fn check(&self, name: &str, value: &Value) -> Result<(), String> {
        self.fits(name, self.schema(name), value, "")
    }

    /// Each change to the value that the schema does not notice: a field taken away or added, anywhere. A field that
    /// may be missing is not taken away.
    #[must_use]
    pub fn unnoticed(&self, name: &str, value: &Value) -> Vec<String> {
        let mut out = Vec::new();
        let optional = self.optional();
        for place in objects(value, "") {
            let object = value
                .pointer(&place)
                .and_then(Value::as_object)
                .expect("an object");
            let mut changes = vec![(
                "added".to_owned(),
                with(object, |object| drop(object.insert("new".into(), Value::Null))),
            )];
            let must = |field: &&String| {
                !optional.contains(field.as_str()) || place.is_empty() && *field == "schema"
            };
            for field in object.keys().filter(must) {
                changes.push((
                    format!("without {field}"),
                    with(object, |object| drop(object.remove(field))),
                ));
            }
            for (what, changed) in changes {
                let mut all = value.clone();
                *all.pointer_mut(&place).expect("an object") = changed;
                if self.check(name, &all).is_ok() {
                    out.push(format!("{name}{place} {what}"));
                }
            }
        }
        out
    }

    fn schema(&self, name: &str) -> &Value {
        self.all
            .get(name)
            .unwrap_or_else(|| panic!("there is no schema {name}.json"))
    }

    /// Every field that may be missing somewhere.
    fn optional(&self) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        for schema in self.all.values() {
            for place in objects(schema, "") {
                let object = schema
                    .pointer(&place)
                    .and_then(Value::as_object)
                    .expect("an object");
                found.extend(may_be_missing(object));
            }
        }
        found
    }

    fn fits(&self, file: &str, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let words = match schema {
            Value::Bool(true) => return Ok(()),
            Value::Bool(false) => return Err(format!("{at}: must not be there")),
            Value::Object(words) => words,
            other => panic!("{file}.json: {other} is no schema"),
        };
        for (word, wish) in words {
            let good = match word.as_str() {
                "$ref" => {
                    self.refers(file, text(wish), value, at)?;
                    true
                }
                "anyOf" => {
                    let tried: Vec<_> = list(wish)
                        .iter()
                        .map(|one| self.fits(file, one, value, at))
                        .collect();
                    let why: Vec<String> = tried.iter().filter_map(|one| one.clone().err()).collect();
                    if why.len() == tried.len() {
                        return Err(why.join(", or "));
                    }
                    true
                }
                "properties" | "additionalProperties" => {
                    self.fields(file, words, value, at)?;
                    true
                }
                "items" => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.fits(file, wish, item, &format!("{at}/{index}"))?;
                    }
                    true
                }
                "required" => {
                    let object = value.as_object();
                    let missing = names(Some(wish))
                        .into_iter()
                        .find(|field| object.is_some_and(|object| !object.contains_key(*field)));
                    if let Some(field) = missing {
                        return Err(format!("{at}: no {field}"));
                    }
                    true
                }
                "type" => types(wish).any(|one| is(value, one)),
                "const" => value == wish,
                "enum" => list(wish).contains(value),
                "minimum" => value.as_f64().is_none_or(|number| Some(number) >= wish.as_f64()),
                "pattern" => {
                    let pattern =
                        Regex::new(text(wish)).unwrap_or_else(|error| panic!("{file}.json: {error}"));
                    value.as_str().is_none_or(|text| pattern.is_match(text))
                }
                silent if SILENT.contains(&silent) => true,
                unknown => panic!("{file}.json: {unknown} is not checked here"),
            };
            if !good {
                return Err(format!("{at}: {value} is against {word} {wish}"));
            }
        }
        Ok(())
    }

    fn refers(&self, file: &str, target: &str, value: &Value, at: &str) -> Result<(), String> {
        let (other, pointer) = target.split_once('#').unwrap_or((target, ""));
        let other = other.strip_suffix(".json").unwrap_or(file);
        let found = self.schema(other).pointer(pointer);
        let found = found.unwrap_or_else(|| panic!("{file}.json: {target} leads nowhere"));
        self.fits(other, found, value, at)
    }

    fn fields(&self, file: &str, words: &Map<String, Value>, value: &Value, at: &str) -> Result<(), String> {
        let known = words.get("properties").and_then(Value::as_object);
        let mut present = self.present.borrow_mut();
        let seen = present.entry(std::ptr::from_ref(words).addr()).or_default();
        seen.extend(value.as_object().into_iter().flat_map(Map::keys).cloned());
        drop(present);
        for (field, inner) in value.as_object().into_iter().flatten() {
            let at = format!("{at}/{field}");
            match known.and_then(|known| known.get(field)) {
                Some(schema) => self.fits(file, schema, inner, &at)?,
                None if words.contains_key("additionalProperties") => {
                    return Err(format!("{at}: is not known"));
                }
                None => {}
            }
        }
        Ok(())
    }
}

/// Every object that a schema describes has its fields listed, and no others.
fn strict(name: &str, schema: &Value) {
    for place in objects(schema, "") {
        let object = schema
            .pointer(&place)
            .and_then(Value::as_object)
            .expect("an object");
        if object.get("type") == Some(&Value::from("object")) {
            let closed = object.get("additionalProperties") == Some(&Value::Bool(false));
            let fields = object.get("properties").and_then(Value::as_object);
            assert!(
                closed && fields.is_some(),
                "{name}.json{place}: an object with any fields"
            );
            for field in names(object.get("required")) {
                assert!(
                    fields.is_some_and(|fields| fields.contains_key(field)),
                    "{name}.json{place}: {field} is not described"
                );
            }
        }
    }
}

/// Where the objects in a value are, itself first, as JSON pointers.
fn objects(value: &Value, at: &str) -> Vec<String> {
    let inner = |key: &str| format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
    match value {
        Value::Object(fields) => {
            let below = fields.iter().flat_map(|(key, value)| objects(value, &inner(key)));
            std::iter::once(at.to_owned()).chain(below).collect()
        }
        Value::Array(items) => {
            let each = items.iter().enumerate();
            each.flat_map(|(index, value)| objects(value, &inner(&index.to_string())))
                .collect()
        }
        _ => Vec::new(),
    }
}

/// The fields of this object of a schema that a value may be without.
fn may_be_missing(object: &Map<String, Value>) -> Vec<&str> {
    let required = names(object.get("required"));
    let fields = object.get("properties").and_then(Value::as_object);
    let closed = fields.filter(|_| object.get("additionalProperties").is_some());
    let all = closed.into_iter().flat_map(Map::keys).map(String::as_str);
    all.filter(|field| !required.contains(field)).collect()
}

fn with(object: &Map<String, Value>, change: impl FnOnce(&mut Map<String, Value>)) -> Value {
    let mut object = object.clone();
    change(&mut object);
    Value::Object(object)
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other} is no type"),
    }
}

fn types(wish: &Value) -> impl Iterator<Item = &str> {
    let several = wish.as_array().into_iter().flatten();
    several.chain(wish.is_string().then_some(wish)).map(text)
}

fn names(list: Option<&Value>) -> Vec<&str> {
    list.and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(text)
        .collect()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text in a schema")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list in a schema")
}

#[cfg(test)]
mod tests;
