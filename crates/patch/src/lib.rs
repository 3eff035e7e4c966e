//! Composes the line from report to receipt; emits events.
