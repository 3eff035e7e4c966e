//! OpenVEX from plan and outcomes only.
