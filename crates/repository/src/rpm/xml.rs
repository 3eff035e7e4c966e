//! XML of repositories, read strictly: elements with their attributes and texts, no document types, no entities but XML's own.

use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
};

/// How deep elements may lie in each other; those of repositories lie some eight deep.
const DEPTH_MAX: usize = 32;

/// Attributes of one element; those of repositories have some six.
const ATTRIBUTES_MAX: usize = 64;

/// What is met on the way through a document.
pub(super) enum Met<'e> {
    /// An element begins.
    Begin(Element),
    /// An element ends; its local name.
    End(&'e str),
    /// Text within the innermost element; a piece of it where it has entities.
    Text(&'e str),
}

/// An element's local name and attributes.
pub(super) struct Element {
    pub(super) name: String,
    attributes: Vec<(String, String)>,
}

impl Element {
    /// The value of an attribute, by its name as it is written.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn of(start: &BytesStart<'_>) -> Result<Element, String> {
        let name = start.local_name().as_ref().to_owned();
        let mut attributes = Vec::new();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|e| e.to_string())?;
            if attributes.len() == ATTRIBUTES_MAX {
                return Err(format!("more than {ATTRIBUTES_MAX} attributes of an element"));
            }
            let value = attribute.normalized_value(XmlVersion::default()).map_err(|e| e.to_string())?;
            attributes.push((attribute.key.as_ref().to_owned(), value.into_owned()));
        }
        Ok(Element { name, attributes })
    }
}

/// Goes through a document until its end, or until `visit` says false.
pub(super) fn walk(
    document: &str,
    visit: &mut dyn FnMut(Met<'_>) -> Result<bool, String>,
) -> Result<(), String> {
    let mut reader = Reader::from_str(document);
    let mut depth = 0_usize;
    loop {
        let going = match reader.read_event().map_err(|e| e.to_string())? {
            Event::Start(start) => {
                depth += 1;
                visit(Met::Begin(Element::of(&start)?))?
            }
            Event::Empty(start) => {
                let element = Element::of(&start)?;
                let name = element.name.clone();
                visit(Met::Begin(element))? && visit(Met::End(&name))?
            }
            Event::End(end) => {
                depth = depth.saturating_sub(1);
                visit(Met::End(end.local_name().as_ref()))?
            }
            Event::Text(piece) => visit(Met::Text(&piece))?,
            Event::GeneralRef(entity) => {
                let character = entity.resolve_char_ref().map_err(|e| e.to_string())?;
                let plain = character.or_else(|| known(&entity)).ok_or("an entity that is not XML's own")?;
                visit(Met::Text(plain.encode_utf8(&mut [0; 4])))?
            }
            Event::DocType(_) => return Err("it has a document type".into()),
            Event::CData(_) => return Err("it has unparsed text".into()),
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => true,
            Event::Eof if depth > 0 => return Err("it breaks off".into()),
            Event::Eof => return Ok(()),
        };
        if depth > DEPTH_MAX {
            return Err(format!("elements more than {DEPTH_MAX} deep"));
        }
        if !going {
            return Ok(());
        }
    }
}

/// The entities that XML has of itself.
fn known(name: &str) -> Option<char> {
    [("lt", '<'), ("gt", '>'), ("amp", '&'), ("quot", '"'), ("apos", '\'')]
        .into_iter()
        .find_map(|(entity, character)| (entity == name).then_some(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(document: &str) -> Result<String, String> {
        let mut out = String::new();
        walk(document, &mut |met| {
            match met {
                Met::Begin(e) => out.push_str(&format!("<{} {}>", e.name, e.get("k").unwrap_or("-"))),
                Met::End(name) => out.push_str(&format!("</{name}>")),
                Met::Text(text) => out.push_str(text),
            }
            Ok(true)
        })?;
        Ok(out)
    }

    #[test]
    fn elements_attributes_and_texts_are_met_in_order() {
        for (document, expected) in [
            ("<?xml version=\"1.0\"?><a k='1&lt;'><x:b/>t&amp;&#65;</a>", "<a 1<><b -></b>t&A</a>"),
            ("<!-- c --><a>x</a>", "<a ->x</a>"),
        ] {
            assert_eq!(shown(document).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_more_than_plain_xml_is_refused() {
        for document in [
            "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>",
            "<a>&x;</a>",
            "<a><![CDATA[x]]></a>",
            "<a><b></a>",
            "<a>",
            "<a k=1/>",
            "<a k='1' k='2'/>",
            &"<a>".repeat(DEPTH_MAX + 1),
        ] {
            assert!(shown(document).is_err(), "{document}");
        }
    }
}
