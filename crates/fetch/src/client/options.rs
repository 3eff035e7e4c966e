//! Settings of the client, as plain values: nothing here reads the environment.

use std::time::Duration;

/// How the client behaves.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// What it calls itself.
    pub user_agent: String,
    /// Proxies to go through.
    pub proxy: ProxySettings,
    /// Certificates to trust beside the system's, as PEM.
    pub ca_pem: Option<Vec<u8>>,
    /// Longest time for name, TCP and TLS.
    pub connect_timeout: Duration,
    /// Longest time without a byte.
    pub idle_timeout: Duration,
    /// Fewest bytes per second, over `rate_window` of waiting.
    pub min_rate: u64,
    /// See `min_rate`.
    pub rate_window: Duration,
    /// How often a request is repeated after what passes by itself.
    pub retries: u32,
    /// First pause before a repetition; each further one is twice as long.
    pub backoff: Duration,
    /// Longest pause, also where the server asks for more.
    pub pause_max: Duration,
    /// How long after the first failure the last repetition may begin.
    pub retry_for: Duration,
    /// How large downloads are split, where the server can.
    pub parts: PartSettings,
}

/// How a large download is split into parts that come at once. It holds up to `at_once` parts in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartSettings {
    /// From this size on, in bytes.
    pub from: u64,
    /// Size of a part, in bytes.
    pub size: u64,
    /// Parts of one download at once; 1 splits nothing.
    pub at_once: usize,
    /// Parts of all downloads of a client that may be read ahead, beyond the one that each download needs next.
    pub ahead: usize,
}

impl Default for PartSettings {
    fn default() -> Self {
        // Four connections fill most lines; 4 MiB keeps all of them together below 100 MiB with several layers at once.
        PartSettings { from: 32 << 20, size: 4 << 20, at_once: 4, ahead: 8 }
    }
}

/// Proxies, each as the usual environment variable writes it. Loopback is never proxied.
#[derive(Clone, Default)]
pub struct ProxySettings {
    /// For `http://`.
    pub http_proxy: Option<String>,
    /// For `https://`.
    pub https_proxy: Option<String>,
    /// Hosts, domains and networks that are reached directly, separated by commas.
    pub no_proxy: Option<String>,
}

impl std::fmt::Debug for ProxySettings {
    /// Says only which are set: an URL of a proxy may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let is_set = |p: &Option<String>| p.is_some();
        f.debug_struct("ProxySettings")
            .field("http_proxy", &is_set(&self.http_proxy))
            .field("https_proxy", &is_set(&self.https_proxy))
            .field("no_proxy", &self.no_proxy)
            .finish()
    }
}

impl Default for ClientOptions {
    fn default() -> Self {
        ClientOptions {
            user_agent: "copa".to_owned(),
            proxy: ProxySettings::default(),
            ca_pem: None,
            connect_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(30),
            // A modem makes more than this; a server that trickles to hold us makes less.
            min_rate: 512,
            rate_window: Duration::from_secs(30),
            retries: 4,
            backoff: Duration::from_millis(400),
            pause_max: Duration::from_secs(60),
            retry_for: Duration::from_secs(300),
            parts: PartSettings::default(),
        }
    }
}
