//! Rows of the table: what was measured, against what, and what was wanted.

use serde_json::{Value, json};

/// What is wanted of a measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// Nothing; it is shown only.
    None,
    /// Not more than this.
    AtMost(f64),
}

/// One measure.
#[derive(Debug, Clone)]
pub struct Row {
    what: String,
    floor: Option<f64>,
    ours: f64,
    target: Target,
}

impl Row {
    /// A measure with a floor to compare it with.
    pub fn against(what: &str, floor: f64, ours: f64, target: Target) -> Row {
        Row { what: what.to_owned(), floor: Some(floor), ours, target }
    }

    /// A measure that has no floor.
    pub fn ours(what: &str, ours: f64, target: Target) -> Row {
        Row { what: what.to_owned(), floor: None, ours, target }
    }

    fn ratio(&self) -> Option<f64> {
        self.floor.filter(|floor| *floor > 0.0).map(|floor| self.ours / floor)
    }

    fn holds(&self) -> Option<bool> {
        match self.target {
            Target::None => None,
            Target::AtMost(most) => Some(self.ours <= most),
        }
    }

    fn cells(&self) -> Vec<String> {
        let optional = |number: Option<f64>| number.map(number_text).unwrap_or_default();
        let target = match self.target {
            Target::None => String::new(),
            Target::AtMost(most) => format!("≤ {}", number_text(most)),
        };
        let holds = match self.holds() {
            None => "",
            Some(true) => "yes",
            Some(false) => "NO",
        };
        vec![
            self.what.clone(),
            optional(self.floor),
            number_text(self.ours),
            optional(self.ratio()),
            target,
            holds.to_owned(),
        ]
    }

    /// The row for a machine.
    pub fn json(&self) -> Value {
        let target = if let Target::AtMost(most) = self.target { Some(most) } else { None };
        json!({ "what": self.what, "floor": self.floor, "ours": self.ours, "ratio": self.ratio(), "atMost": target, "holds": self.holds() })
    }
}

/// The table, head first.
pub fn cells(rows: &[Row]) -> Vec<Vec<String>> {
    let head = ["measure", "floor", "ours", "ratio", "wanted", "holds"].map(str::to_owned).to_vec();
    std::iter::once(head).chain(rows.iter().map(Row::cells)).collect()
}

/// The middle of some numbers.
pub fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[length / 2],
        length => f64::midpoint(sorted[length / 2 - 1], sorted[length / 2]),
    }
}

fn number_text(number: f64) -> String {
    if number.fract() == 0.0 { format!("{number:.0}") } else { format!("{number:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_counts() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn rows_say_whether_they_hold() {
        let row = Row::against("x", 2.0, 3.0, Target::AtMost(2.5));
        assert_eq!(row.cells(), ["x", "2", "3", "1.50", "≤ 2.50", "NO"]);
        assert_eq!(row.json()["holds"], false);
        assert_eq!(Row::ours("y", 1.0, Target::AtMost(1.0)).cells(), ["y", "", "1", "", "≤ 1", "yes"]);
        assert_eq!(
            Row::ours("z", f64::NAN, Target::AtMost(1.0)).holds(),
            Some(false),
            "what was not measured does not hold"
        );
    }
}
