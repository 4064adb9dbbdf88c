//! A reader for the XML that NVIDIA's reference manifests are written in, and their canonical form.
//!
//! A signature is only worth what the signed form is. So this reader accepts a small part of XML
//! 1.0, in which nothing can be read in two ways: no document type, no entities but the five of XML
//! itself, no comments, no processing instructions, no CDATA, no `xml:` attributes, no line ends
//! but LF. Of that part, [`Element::canonical`] writes Canonical XML 1.1 (W3C), which is also what
//! 1.0 gives for it.

use super::RimError;
use alloc::{format, string::String, vec::Vec};

/// Deeper than any manifest.
const DEPTH_MAX: usize = 16;
/// A manifest has about 90 elements.
const ELEMENTS_MAX: usize = 4096;
/// An element of a manifest has at most 11.
const ATTRIBUTES_MAX: usize = 64;

/// A namespace declaration or an attribute.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Attribute {
    /// Empty without one.
    prefix: String,
    local: String,
    /// With entities replaced.
    value: String,
    /// Of the prefix; empty without one.
    namespace: String,
}

/// An element.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Element {
    prefix: String,
    local: String,
    namespace: String,
    /// Prefix (empty for the default) and URI, as declared here.
    declarations: Vec<(String, String)>,
    attributes: Vec<Attribute>,
    children: Vec<Node>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Node {
    Element(Element),
    /// With entities replaced.
    Text(String),
}

/// What is in scope: prefix and URI, the innermost last.
type Scope = Vec<(String, String)>;

impl Element {
    /// Reads a document: an optional XML declaration, one element, white space.
    pub(super) fn parse(text: &str) -> Result<Self, RimError> {
        let mut parser = Parser { text, at: 0, elements: 0 };
        if parser.eat("<?xml ") {
            parser.until("?>")?;
        }
        parser.space();
        let root = parser.element(&mut Vec::new(), 0)?;
        parser.space();
        if parser.at == text.len() { Ok(root) } else { Err(parser.error("something follows")) }
    }

    /// Whether it has this namespace and name.
    pub(super) fn is(&self, namespace: &str, local: &str) -> bool {
        self.namespace == namespace && self.local == local
    }

    /// The child elements.
    pub(super) fn elements(&self) -> impl Iterator<Item = &Self> {
        self.children.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// The one child element of this name; `None` if there is none or another.
    pub(super) fn only(&self, namespace: &str, local: &str) -> Option<&Self> {
        let mut found = self.elements().filter(|element| element.is(namespace, local));
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }

    /// How many elements of this name are in it, at any depth.
    pub(super) fn count(&self, namespace: &str, local: &str) -> usize {
        self.elements()
            .map(|element| {
                usize::from(element.is(namespace, local)) + element.count(namespace, local)
            })
            .sum()
    }

    /// The value of an attribute.
    pub(super) fn attribute(&self, namespace: &str, local: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|attribute| attribute.namespace == namespace && attribute.local == local)
            .map(|attribute| attribute.value.as_str())
    }

    /// All text of an element that has no child elements.
    pub(super) fn text(&self) -> Option<String> {
        self.children
            .iter()
            .map(|node| match node {
                Node::Text(text) => Some(text.as_str()),
                Node::Element(_) => None,
            })
            .collect()
    }

    /// The canonical form of this element as the root of a document, without the child elements for
    /// which `omit` holds.
    pub(super) fn canonical(&self, omit: &dyn Fn(&Self) -> bool) -> String {
        let mut out = String::new();
        self.write(&mut out, &mut Vec::new(), omit);
        out
    }

    /// The canonical form of the element at the end of `path` as a document subset: it shows all
    /// namespaces that are in scope there.
    pub(super) fn canonical_in(path: &[&Self]) -> Option<String> {
        let (last, ancestors) = path.split_last()?;
        let mut apex = (*last).clone();
        for ancestor in ancestors.iter().rev() {
            for (prefix, uri) in &ancestor.declarations {
                if !apex.declarations.iter().any(|(known, _)| known == prefix) {
                    apex.declarations.push((prefix.clone(), uri.clone()));
                }
            }
        }
        Some(apex.canonical(&|_| false))
    }

    fn write(&self, out: &mut String, rendered: &mut Scope, omit: &dyn Fn(&Self) -> bool) {
        let name = if self.prefix.is_empty() {
            self.local.clone()
        } else {
            format!("{}:{}", self.prefix, self.local)
        };
        out.push('<');
        out.push_str(&name);
        let mut declarations: Vec<_> = self
            .declarations
            .iter()
            .filter(|(prefix, uri)| lookup(rendered, prefix) != Some(uri))
            .collect();
        declarations.sort();
        for (prefix, uri) in &declarations {
            out.push_str(if prefix.is_empty() { " xmlns" } else { " xmlns:" });
            out.push_str(prefix);
            write_value(out, uri);
        }
        let mut attributes: Vec<_> = self.attributes.iter().collect();
        attributes.sort_by_key(|attribute| (&attribute.namespace, &attribute.local));
        for attribute in attributes {
            out.push(' ');
            if !attribute.prefix.is_empty() {
                out.push_str(&attribute.prefix);
                out.push(':');
            }
            out.push_str(&attribute.local);
            write_value(out, &attribute.value);
        }
        out.push('>');
        let outer = rendered.len();
        rendered.extend(declarations.into_iter().cloned());
        for node in &self.children {
            match node {
                Node::Text(text) => write_text(out, text),
                Node::Element(child) if omit(child) => {}
                Node::Element(child) => child.write(out, rendered, omit),
            }
        }
        rendered.truncate(outer);
        out.push_str("</");
        out.push_str(&name);
        out.push('>');
    }
}

fn lookup<'a>(scope: &'a Scope, prefix: &str) -> Option<&'a String> {
    scope.iter().rev().find(|(known, _)| known == prefix).map(|(_, uri)| uri)
}

fn write_value(out: &mut String, value: &str) {
    out.push_str("=\"");
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out.push('"');
}

fn write_text(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    elements: usize,
}

impl<'a> Parser<'a> {
    fn error(&self, reason: &'static str) -> RimError {
        RimError::Xml { reason, at: self.at }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at = self.at.saturating_add(token.len());
        }
        found
    }

    fn expect(&mut self, token: &str, reason: &'static str) -> Result<(), RimError> {
        if self.eat(token) { Ok(()) } else { Err(self.error(reason)) }
    }

    /// What stands before `token`, which is passed too.
    fn until(&mut self, token: &str) -> Result<&'a str, RimError> {
        let (before, _) =
            self.rest().split_once(token).ok_or_else(|| self.error("something is not closed"))?;
        self.at = self.at.saturating_add(before.len()).saturating_add(token.len());
        Ok(before)
    }

    /// Passes white space; says whether there was any.
    fn space(&mut self) -> bool {
        let rest = self.rest();
        let length = rest.len() - rest.trim_start_matches([' ', '\t', '\n']).len();
        self.at = self.at.saturating_add(length);
        length > 0
    }

    /// A prefix (or nothing) and a local name, of ASCII letters, digits, `-`, `_` and `.`.
    fn name(&mut self) -> Result<(String, String), RimError> {
        let first = self.part()?;
        if self.eat(":") { Ok((first, self.part()?)) } else { Ok((String::new(), first)) }
    }

    fn part(&mut self) -> Result<String, RimError> {
        let rest = self.rest();
        let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let length = rest.find(|c| !inside(c)).unwrap_or(rest.len());
        let part = rest.get(..length).unwrap_or_default();
        if !part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            return Err(self.error("no name"));
        }
        self.at = self.at.saturating_add(length);
        Ok(part.into())
    }

    fn element(&mut self, scope: &mut Scope, depth: usize) -> Result<Element, RimError> {
        self.elements = self.elements.saturating_add(1);
        if depth == DEPTH_MAX || self.elements > ELEMENTS_MAX {
            return Err(self.error("too many elements"));
        }
        self.expect("<", "no element")?;
        let (prefix, local) = self.name()?;
        let (declarations, mut attributes, empty) = self.attributes()?;
        let outer = scope.len();
        scope.extend(declarations.iter().cloned());
        for attribute in &mut attributes {
            // The default namespace is not one of attributes.
            if !attribute.prefix.is_empty() {
                attribute.namespace = self.resolve(scope, &attribute.prefix)?;
            }
        }
        for (index, one) in attributes.iter().enumerate() {
            let same =
                |other: &&Attribute| other.namespace == one.namespace && other.local == one.local;
            if attributes.iter().skip(index.saturating_add(1)).any(|other| same(&other)) {
                return Err(self.error("an attribute is there twice"));
            }
        }
        let namespace = match prefix.as_str() {
            "" => lookup(scope, "").cloned().unwrap_or_default(),
            prefix => self.resolve(scope, prefix)?,
        };
        let mut children = Vec::new();
        if !empty {
            self.children(&mut children, scope, depth)?;
            let end = self.name()?;
            if (&end.0, &end.1) != (&prefix, &local) {
                return Err(self.error("an end tag does not fit"));
            }
            self.space();
            self.expect(">", "an end tag is not closed")?;
        }
        scope.truncate(outer);
        Ok(Element { prefix, local, namespace, declarations, attributes, children })
    }

    /// Up to and with the `</` of the end tag.
    fn children(
        &mut self,
        children: &mut Vec<Node>,
        scope: &mut Scope,
        depth: usize,
    ) -> Result<(), RimError> {
        loop {
            let rest = self.rest();
            let length = rest.find('<').ok_or_else(|| self.error("an element is not closed"))?;
            let text = self.unescape(rest.get(..length).unwrap_or_default(), true)?;
            self.at = self.at.saturating_add(length);
            if !text.is_empty() {
                children.push(Node::Text(text));
            }
            if self.eat("</") {
                return Ok(());
            }
            if self.rest().starts_with("<!") || self.rest().starts_with("<?") {
                return Err(
                    self.error("comments, CDATA, document types and instructions are refused")
                );
            }
            children.push(Node::Element(self.element(scope, depth.saturating_add(1))?));
        }
    }

    /// Up to and with the `>` of the start tag; the last value says whether it was `/>`.
    #[expect(clippy::type_complexity, reason = "used in one place")]
    fn attributes(&mut self) -> Result<(Vec<(String, String)>, Vec<Attribute>, bool), RimError> {
        let (mut declarations, mut attributes) = (Vec::<(String, String)>::new(), Vec::new());
        loop {
            let space = self.space();
            if self.eat("/>") {
                return Ok((declarations, attributes, true));
            }
            if self.eat(">") {
                return Ok((declarations, attributes, false));
            }
            if !space || declarations.len().saturating_add(attributes.len()) >= ATTRIBUTES_MAX {
                return Err(self.error("a start tag is not closed"));
            }
            let (prefix, local) = self.name()?;
            self.space();
            self.expect("=", "an attribute has no value")?;
            self.space();
            let quote = if self.eat("\"") { "\"" } else { "'" };
            if quote == "'" {
                self.expect("'", "an attribute's value has no quotes")?;
            }
            let raw = self.until(quote)?;
            let value = self.unescape(raw, false)?;
            let declared = match (prefix.as_str(), local.as_str()) {
                ("", "xmlns") => Some(String::new()),
                ("xmlns", prefix) => Some(prefix.into()),
                _ => None,
            };
            match declared {
                Some(declared) => {
                    let twice = declarations.iter().any(|(known, _)| *known == declared);
                    // `xmlns=""` takes a default away, which no manifest needs.
                    if twice || value.is_empty() || matches!(declared.as_str(), "xml" | "xmlns") {
                        return Err(self.error("a namespace declaration is refused"));
                    }
                    declarations.push((declared, value));
                }
                None => {
                    attributes.push(Attribute { prefix, local, value, namespace: String::new() })
                }
            }
        }
    }

    fn resolve(&self, scope: &Scope, prefix: &str) -> Result<String, RimError> {
        // `xml` is never declared, so its attributes, which subsets inherit, are refused here.
        lookup(scope, prefix).cloned().ok_or_else(|| self.error("an undeclared prefix"))
    }

    /// Replaces entities; refuses what another reader might take for something else.
    fn unescape(&self, raw: &str, is_text: bool) -> Result<String, RimError> {
        let allowed = |c: char| match c {
            '\n' | '\t' => is_text,
            '<' => false,
            c => !c.is_control() && c != '\u{fffe}' && c != '\u{ffff}',
        };
        if !raw.chars().all(allowed) || (is_text && raw.contains("]]>")) {
            return Err(self.error("a character is refused"));
        }
        let mut out = String::with_capacity(raw.len());
        let mut rest = raw;
        while let Some((before, after)) = rest.split_once('&') {
            out.push_str(before);
            let (entity, after) =
                after.split_once(';').ok_or_else(|| self.error("an entity is not closed"))?;
            out.push(match entity {
                "amp" => '&',
                "lt" => '<',
                "gt" => '>',
                "quot" => '"',
                "apos" => '\'',
                _ => return Err(self.error("an entity is refused")),
            });
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }
}
