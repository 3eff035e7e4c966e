//! Expressions in parentheses that stand where a dependency does: `(a if b)`, `(a or b >= 2)`.
//!
//! Source: rpm's manual on boolean dependencies. `with`, `without`, `unless` and `else` are read and judged only where that can
//! be done by what is there as a whole.

use super::relation::{Relation, Sense};

/// How deep expressions may lie in each other.
const DEPTH_MAX: usize = 16;

/// Words of one expression.
const WORDS_MAX: usize = 1000;

/// A dependency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rich {
    Atom(Relation),
    /// All of them.
    And(Vec<Rich>),
    /// One of them.
    Or(Vec<Rich>),
    /// The first where the second is there; else the third, where there is one.
    If(Box<Rich>, Box<Rich>, Option<Box<Rich>>),
    /// One package that does all of this, or the first and not the second: not judged.
    Other(String),
}

impl Rich {
    /// Of a dependency as the index has it.
    pub(super) fn of(relation: &Relation) -> Result<Rich, String> {
        if !relation.name.starts_with('(') {
            return Ok(Rich::Atom(relation.clone()));
        }
        let spaced = words(&relation.name);
        if spaced.len() > WORDS_MAX {
            return Err(format!("an expression of more than {WORDS_MAX} words"));
        }
        let mut words = Words { all: &spaced, at: 0 };
        let rich = words.expression(0)?;
        match words.next() {
            None => Ok(rich),
            Some(more) => Err(format!("\"{}\" after an expression", inventory::printable(more))),
        }
    }

    /// Whether it is met, by whether each atom is.
    pub(super) fn is_met(&self, has: &dyn Fn(&Relation) -> bool) -> bool {
        match self {
            Rich::Atom(relation) => has(relation),
            Rich::And(all) => all.iter().all(|one| one.is_met(has)),
            Rich::Or(all) => all.iter().any(|one| one.is_met(has)),
            Rich::If(then, condition, other) => match condition.is_met(has) {
                true => then.is_met(has),
                false => other.as_ref().is_none_or(|other| other.is_met(has)),
            },
            Rich::Other(_) => false,
        }
    }

    /// Of what is not met, the atoms of which one is to be added next; an error where that cannot be told.
    pub(super) fn lacking(&self, has: &dyn Fn(&Relation) -> bool) -> Result<Vec<Relation>, String> {
        match self {
            Rich::Atom(relation) => Ok(vec![relation.clone()]),
            Rich::And(all) => match all.iter().find(|one| !one.is_met(has)) {
                Some(one) => one.lacking(has),
                None => Ok(Vec::new()),
            },
            Rich::Or(all) => {
                let each: Result<Vec<_>, _> = all.iter().map(|one| one.lacking(has)).collect();
                each.map(|lists| lists.concat())
            }
            Rich::If(then, condition, other) => match (condition.is_met(has), other) {
                (true, _) => then.lacking(has),
                (false, Some(other)) => other.lacking(has),
                (false, None) => Ok(Vec::new()),
            },
            Rich::Other(what) => Err(format!("an expression with \"{what}\" cannot be solved here")),
        }
    }
}

/// Parentheses that begin and end an expression apart from what is in it; those within a name stay.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for part in text.split_ascii_whitespace() {
        let mut part = part;
        while let Some(rest) = part.strip_prefix('(') {
            words.push("(".to_owned());
            part = rest;
        }
        let mut closing = 0;
        let count = |what: char, part: &str| part.chars().filter(|c| *c == what).count();
        while part.ends_with(')') && count(')', part) > count('(', part) {
            part = &part[..part.len() - 1];
            closing += 1;
        }
        if !part.is_empty() {
            words.push(part.to_owned());
        }
        words.extend((0..closing).map(|_| ")".to_owned()));
    }
    words
}

struct Words<'w> {
    all: &'w [String],
    at: usize,
}

impl<'w> Words<'w> {
    fn peek(&self) -> Option<&'w str> {
        self.all.get(self.at).map(String::as_str)
    }

    fn next(&mut self) -> Option<&'w str> {
        let word = self.peek();
        self.at += 1;
        word
    }

    /// `( operand [operator operand]… )`; operators of one expression are alike, but for `else` after `if`.
    fn expression(&mut self, depth: usize) -> Result<Rich, String> {
        let breaks_off = || "an expression that breaks off".to_owned();
        if depth > DEPTH_MAX {
            return Err(format!("expressions more than {DEPTH_MAX} deep"));
        }
        self.next().filter(|word| *word == "(").ok_or_else(breaks_off)?;
        let mut operands = vec![self.operand(depth)?];
        let mut operators = Vec::new();
        loop {
            match self.next().ok_or_else(breaks_off)? {
                ")" => return combined(operands, &operators),
                operator => operators.push(operator),
            }
            operands.push(self.operand(depth)?);
        }
    }

    fn operand(&mut self, depth: usize) -> Result<Rich, String> {
        if self.peek() == Some("(") {
            return self.expression(depth + 1);
        }
        let word = self.next().filter(|word| *word != ")").ok_or("an expression that breaks off")?;
        let name = word.to_owned();
        let bound = match self.peek().and_then(Sense::of) {
            Some(sense) => {
                self.next();
                Some((sense, self.next().ok_or("an expression that breaks off")?.to_owned()))
            }
            None => None,
        };
        Ok(Rich::Atom(Relation { name, bound }))
    }
}

fn combined(mut operands: Vec<Rich>, operators: &[&str]) -> Result<Rich, String> {
    let third = if operators == ["if", "else"] { operands.pop().map(Box::new) } else { None };
    match operators {
        [] => operands.pop().ok_or_else(|| "an empty expression".to_owned()),
        all if all.iter().all(|word| *word == "and") => Ok(Rich::And(operands)),
        all if all.iter().all(|word| *word == "or") => Ok(Rich::Or(operands)),
        ["if"] | ["if", "else"] => {
            let condition = operands.pop().ok_or("an expression without a condition")?;
            let then = operands.pop().ok_or("an expression without a consequence")?;
            Ok(Rich::If(Box::new(then), Box::new(condition), third))
        }
        [first, ..] if matches!(*first, "with" | "without" | "unless" | "if") => {
            Ok(Rich::Other((*first).to_owned()))
        }
        [first, ..] => Err(format!("an expression with \"{}\"", inventory::printable(first))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rich(text: &str) -> Result<Rich, String> {
        Rich::of(&Relation { name: text.into(), bound: None })
    }

    #[test]
    fn expressions_are_judged_and_what_lacks_is_named() {
        let has = |there: &'static [&str]| move |r: &Relation| there.contains(&r.to_string().as_str());
        for (text, there, met, lacking) in [
            ("(a if b)", &["c"][..], true, ""),
            ("(a if b)", &["b"], false, "a"),
            ("(a if b else c)", &["x"], false, "c"),
            ("(a >= 1:2 or b)", &["x"], false, "a >= 1:2, b"),
            ("(a and (b or c(x)(64bit)))", &["a"], false, "b, c(x)(64bit)"),
            ("(a and b)", &["a", "b"], true, ""),
            ("((a if b) if c)", &["c", "b"], false, "a"),
        ] {
            let (rich, has) = (rich(text).unwrap(), has(there));
            assert_eq!(rich.is_met(&has), met, "{text}");
            if !met {
                let names = rich.lacking(&has).unwrap();
                let names: Vec<_> = names.iter().map(Relation::to_string).collect();
                assert_eq!(names.join(", "), lacking, "{text}");
            }
        }
        assert!(rich("(a with b)").unwrap().lacking(&|_| false).unwrap_err().contains("with"));
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for text in
            ["(", "()", "(a", "(a if)", "(a or", "(a xor b)", "(a and b or c)", "(a) b", &"(".repeat(99)]
        {
            assert!(rich(text).is_err(), "{text}");
        }
    }
}
