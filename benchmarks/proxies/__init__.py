"""How true proxies are: what nmf_proxy.py measures, and how."""
