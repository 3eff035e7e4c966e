//! What the API says of one release: `GET <base>/<product>/releases/<release>` (endoflife.date, API v1).

use crate::{Date, Support};
use serde::Deserialize;

/// Largest answer taken; a real one has a few hundred bytes.
pub const BYTES_MAX: u64 = 1 << 20;

/// Why an answer is none.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// Not JSON of the form.
    #[error("the answer is not what an API of lifecycles says")]
    Form(#[source] serde_json::Error),
    /// JSON of the form, that says nothing of support.
    #[error("the answer says neither isEol nor isMaintained")]
    Silent,
    /// The day is none.
    #[error("the answer's eolFrom is no day")]
    Day,
}

#[derive(Deserialize)]
struct Answer {
    result: Of,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Of {
    is_eol: Option<bool>,
    eol_from: Option<String>,
    is_maintained: Option<bool>,
}

/// Reads an answer. Support has ended where the release is at its end of life, or is not maintained.
pub fn parse(bytes: &[u8]) -> Result<Support, AnswerError> {
    let Answer { result } = serde_json::from_slice(bytes).map_err(AnswerError::Form)?;
    if result.is_eol.is_none() && result.is_maintained.is_none() {
        return Err(AnswerError::Silent);
    }
    let ended = result.is_eol.unwrap_or(false) || !result.is_maintained.unwrap_or(true);
    let day = |text: String| text.parse::<Date>().map_err(|_| AnswerError::Day);
    Ok(Support { ended, until: result.eol_from.map(day).transpose()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ended_is_at_the_end_of_life_or_not_maintained() {
        for (text, ended) in [
            (r#"{"result":{"isEol":false,"isMaintained":true,"eolFrom":null}}"#, false),
            (r#"{"result":{"isEol":true,"isMaintained":true}}"#, true),
            (r#"{"result":{"isEol":false,"isMaintained":false}}"#, true),
            (r#"{"result":{"isMaintained":true}}"#, false),
            (r#"{"schema_version":"1","result":{"isEol":true,"name":"10","more":[]}}"#, true),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap(), Support { ended, until: None }, "{text}");
        }
        let dated = parse(br#"{"result":{"isEol":true,"eolFrom":"2022-09-10"}}"#).unwrap();
        assert_eq!(dated.until.unwrap().to_string(), "2022-09-10");
    }

    #[test]
    fn junk_is_no_answer() {
        let deep = "[".repeat(100_000);
        for text in [
            "",
            "no",
            "{}",
            r#"{"result":{}}"#,
            r#"{"result":[]}"#,
            r#"{"result":{"isEol":"yes"}}"#,
            r#"{"result":{"isEol":true,"eolFrom":"\u001b[2J"}}"#,
            r#"{"result":{"isEol":true,"eolFrom":true}}"#,
            &deep,
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{}", &text[..text.len().min(40)]);
        }
    }
}
