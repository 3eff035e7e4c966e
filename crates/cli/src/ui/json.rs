//! Progress for machines: one JSON object a line, on standard error. Fields are only ever added under one schema.

use super::{Display, text::printable};
use crate::error::Failure;
use engine::LayerStage;
use patch::{Event, Phase, ResultDocument};
use serde_json::{Value, json};
use std::{io::Write, time::Instant};

/// The version of the objects' shape.
pub const SCHEMA: &str = "copa.sh/event/v1";

/// Objects to a writer.
pub struct Json<W>(pub W);

impl<W: Write + Send> Display for Json<W> {
    fn event(&mut self, event: &Event, _: Instant) {
        let _ = writeln!(self.0, "{}", stamped(event_object(event)));
    }
}

/// The last object of a run that went well.
pub fn result_object(document: &ResultDocument) -> String {
    stamped(json!({"event": "result", "result": document}))
}

/// The last object of a run that failed.
pub fn failure_object(failure: &Failure) -> String {
    let code = failure.kind.code();
    stamped(json!({
        "event": "error", "kind": code.name, "exitCode": code.code,
        "message": failure.what, "causes": failure.causes, "hint": failure.hint,
    }))
}

/// A line of `--debug`.
pub fn log_object(line: &str) -> String {
    stamped(json!({"event": "log", "text": printable(line)}))
}

/// Schema and time in front.
fn stamped(object: Value) -> String {
    let mut all = serde_json::Map::new();
    all.insert("schema".to_owned(), SCHEMA.into());
    all.insert("time".to_owned(), format!("{:.3}", jiff::Timestamp::now()).into());
    if let Value::Object(fields) = object {
        all.extend(fields);
    }
    Value::Object(all).to_string()
}

fn event_object(event: &Event) -> Value {
    match event {
        Event::PhaseStarted(phase) => {
            json!({"event": "phase-started", "phase": phase, "title": Phase::title(*phase)})
        }
        Event::PhaseEnded(phase, took) => {
            json!({"event": "phase-ended", "phase": phase, "tookMs": took.as_millis() as u64})
        }
        Event::Engine(event) => engine_object(event),
        Event::Upload { digest, done, total } => {
            json!({"event": "upload", "digest": digest.to_string(), "done": done, "total": total})
        }
        Event::Platform { platform, event } => {
            let mut object = event_object(event);
            object["platform"] = platform.as_ref().into();
            object
        }
        Event::Planned(lines) => json!({"event": "planned", "fixes": lines}),
        Event::Warning(text) => json!({"event": "warning", "text": text}),
    }
}

fn engine_object(event: &engine::Event) -> Value {
    match event {
        engine::Event::Layer { digest, done, total, stage } => {
            let stage = match stage {
                LayerStage::Cached => "cached",
                LayerStage::Pulling => "pulling",
                LayerStage::Ready => "ready",
            };
            json!({"event": "layer", "digest": digest.to_string(), "done": done, "total": total, "stage": stage})
        }
        engine::Event::StepStarted { index, total, title } => {
            json!({"event": "step-started", "index": index, "total": total, "title": title})
        }
        engine::Event::StepOutput { index, line } => {
            json!({"event": "step-output", "index": index, "line": line})
        }
        engine::Event::StepEnded { index, exit, took } => {
            json!({"event": "step-ended", "index": index, "exit": exit, "tookMs": took.as_millis() as u64})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Kind;

    fn parsed(line: &str) -> Value {
        assert!(!line.contains('\n'), "{line}");
        serde_json::from_str(line).unwrap()
    }

    #[test]
    fn every_event_is_one_line_with_schema_and_time() {
        let mut json = Json(Vec::new());
        json.event(&Event::PhaseStarted(Phase::Pull), Instant::now());
        let warning = Event::Warning("a\nb\u{1b}".into());
        json.event(
            &Event::Platform { platform: "linux/arm64".into(), event: Box::new(warning) },
            Instant::now(),
        );
        let text = String::from_utf8(json.0).unwrap();
        let objects: Vec<Value> = text.lines().map(parsed).collect();
        assert_eq!(objects[0]["phase"], "pull");
        assert_eq!(objects[1]["text"], "a\nb\u{1b}");
        assert_eq!([&objects[0]["platform"], &objects[1]["platform"]], [&Value::Null, &"linux/arm64".into()]);
        for object in objects {
            assert_eq!(object["schema"], SCHEMA);
            assert!(object["time"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
        }
    }

    #[test]
    fn failures_carry_what_scripts_ask_for() {
        let failure = Failure::new(Kind::Report, "no good").because("bad byte").hint("scan again");
        let object = parsed(&failure_object(&failure));
        assert_eq!((object["kind"].as_str(), object["exitCode"].as_u64()), (Some("report"), Some(3)));
        assert_eq!(object["causes"][0], "bad byte");
        assert_eq!(parsed(&log_object("x\u{7}"))["text"], "x\\u{7}");
    }
}
