//! Images, repositories, registries and fakes for tests, demo and benches.
