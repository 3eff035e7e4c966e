//! HTTP client with limits, retries, proxies and own CA; the egress proxy with its cache.
