//! Judges a document by a JSON Schema: the keywords that our published schemas use, and a complaint about any other.
//! Stricter than the standard in one point: a member that the schema does not describe is amiss.

use serde_json::{Map, Value};

/// Keywords that say nothing of what is valid.
const WORDS: [&str; 5] = ["$schema", "$defs", "title", "description", "default"];

/// What is amiss with a document, each with its place; empty where it is as the schema says.
pub fn complaints(schema: &Value, document: &Value) -> Vec<String> {
    let mut judge = Judge { root: schema, found: Vec::new() };
    judge.value(schema, document, "$");
    judge.found
}

struct Judge<'a> {
    root: &'a Value,
    found: Vec<String>,
}

impl Judge<'_> {
    fn amiss(&mut self, at: &str, what: &str) {
        self.found.push(format!("{at}: {what}"));
    }

    fn value(&mut self, schema: &Value, value: &Value, at: &str) {
        let Some(keywords) = schema.as_object() else {
            return self.amiss(at, "its schema is no object");
        };
        for (keyword, said) in keywords {
            match keyword.as_str() {
                "type" => self.kind(said, value, at),
                "const" if said != value => self.amiss(at, &format!("is {value}, not {said}")),
                "enum" if !said.as_array().is_some_and(|all| all.contains(value)) => {
                    self.amiss(at, &format!("{value} is none of {said}"));
                }
                "minimum" if value.as_f64() < said.as_f64() => self.amiss(at, &format!("{value} < {said}")),
                "maximum" if value.as_f64() > said.as_f64() => self.amiss(at, &format!("{value} > {said}")),
                "$ref" => self.reference(said, value, at),
                "anyOf" | "oneOf" => self.choice(keyword, said, value, at),
                "required" => self.required(said, value, at),
                "items" => {
                    for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.value(said, item, &format!("{at}[{n}]"));
                    }
                }
                "const" | "enum" | "minimum" | "maximum" | "format" => {}
                "properties" | "additionalProperties" => {}
                word if WORDS.contains(&word) => {}
                other => self.amiss(at, &format!("{other} is not known to this judge")),
            }
        }
        self.members(keywords, value, at);
    }

    fn kind(&mut self, said: &Value, value: &Value, at: &str) {
        let is = |name: &str| match name {
            "null" => value.is_null(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "string" => value.is_string(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            _ => false,
        };
        let fits = match said {
            Value::Array(names) => names.iter().filter_map(Value::as_str).any(is),
            name => name.as_str().is_some_and(is),
        };
        if !fits {
            self.amiss(at, &format!("{value:.60} is not of type {said}"));
        }
    }

    fn reference(&mut self, said: &Value, value: &Value, at: &str) {
        let pointer = said.as_str().and_then(|text| text.strip_prefix('#'));
        match pointer.and_then(|pointer| self.root.pointer(pointer)) {
            Some(schema) => self.value(schema, value, at),
            None => self.amiss(at, &format!("{said} leads nowhere")),
        }
    }

    fn choice(&mut self, keyword: &str, said: &Value, value: &Value, at: &str) {
        let fits = |schema: &&Value| {
            let mut other = Judge { root: self.root, found: Vec::new() };
            other.value(schema, value, at);
            other.found.is_empty()
        };
        let fitting = said.as_array().into_iter().flatten().filter(fits).count();
        if fitting == 0 || (keyword == "oneOf" && fitting > 1) {
            self.amiss(at, &format!("{value:.60} fits {fitting} of {keyword}"));
        }
    }

    fn required(&mut self, said: &Value, value: &Value, at: &str) {
        let names = said.as_array().into_iter().flatten().filter_map(Value::as_str);
        for name in names.filter(|name| value.is_object() && value.get(name).is_none()) {
            self.amiss(at, &format!("has no {name}"));
        }
    }

    fn members(&mut self, keywords: &Map<String, Value>, value: &Value, at: &str) {
        let known = keywords.get("properties").and_then(Value::as_object);
        let others = keywords.get("additionalProperties");
        for (name, member) in value.as_object().into_iter().flatten() {
            let place = format!("{at}.{name}");
            match (known.and_then(|known| known.get(name)), others) {
                (Some(schema), _) => self.value(schema, member, &place),
                (None, Some(schema @ Value::Object(_))) => self.value(schema, member, &place),
                (None, Some(Value::Bool(true))) => {}
                (None, None) if known.is_none() => {}
                (None, _) => self.amiss(&place, "is not described"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_amiss_is_found_and_what_is_not_is_not() {
        let schema = json!({
            "type": "object", "required": ["name", "kind"], "description": "x",
            "properties": {
                "name": { "type": ["string", "null"] }, "kind": { "$ref": "#/$defs/Kind" },
                "sizes": { "type": "array", "items": { "type": "integer", "format": "uint64", "minimum": 0 } },
                "counts": { "type": "object", "additionalProperties": { "type": "integer" } },
                "maybe": { "anyOf": [{ "$ref": "#/$defs/Kind" }, { "type": "null" }] },
            },
            "$defs": { "Kind": { "oneOf": [{ "const": "a" }, { "enum": ["b", "c"] }] } },
        });
        let good =
            json!({ "name": null, "kind": "b", "sizes": [0, 7], "counts": { "any": 1 }, "maybe": null });
        assert_eq!(complaints(&schema, &good), [""; 0]);
        for (member, value, place) in [
            ("name", json!(1), "$.name"),
            ("kind", json!("d"), "$.kind"),
            ("sizes", json!([1, -1]), "$.sizes[1]"),
            ("sizes", json!([1.5]), "$.sizes[0]"),
            ("counts", json!({ "any": "1" }), "$.counts.any"),
            ("maybe", json!(3), "$.maybe"),
            ("more", json!(3), "$.more"),
        ] {
            let mut bad = good.clone();
            bad[member] = value;
            let found = complaints(&schema, &bad);
            assert!(found.len() == 1 && found[0].starts_with(place), "{found:?}");
        }
        assert_eq!(complaints(&schema, &json!({ "name": "x" })), ["$: has no kind"]);
        assert_eq!(complaints(&schema, &json!([])).len(), 1);
        assert_eq!(
            complaints(&json!({ "pattern": "x" }), &json!("x")).len(),
            1,
            "an unknown keyword is no pass"
        );
        assert_eq!(complaints(&json!({ "$ref": "#/no" }), &json!("x")), ["$: \"#/no\" leads nowhere"]);
    }
}
