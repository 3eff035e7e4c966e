//! Scanner plugins `copa-<name>`.
