"""Every reason code that a URL's row, a log line or a metric may carry, in words.

Codes also come from the address of a URL (crawler.url), the fetcher (FetchFault) and the parser
(ParseError.reason); they are all listed here, so that `check` and `status` can explain them.
"""

from __future__ import annotations

from enum import Enum


class Reason(Enum):
    """A code and its explanation."""

    _value_: str
    explanation: str

    def __new__(cls, code: str, explanation: str) -> Reason:
        member = object.__new__(cls)
        member._value_ = code
        member.explanation = explanation
        return member

    # The page is stored
    OK = "ok", "The page was fetched and its document stored."
    UNCHANGED = "unchanged", "The page was fetched; its document has not changed."
    NOT_MODIFIED = "not_modified", "The server said that the page has not changed (304)."

    # It answered, but is not to be indexed
    REDIRECT = "redirect", "The page redirects; the target was added to the frontier."
    REDIRECT_OUT_OF_SCOPE = "redirect_out_of_scope", "The page redirects out of the domain."
    REDIRECT_TO_ITSELF = "redirect_to_itself", "The page redirects to its own address."
    REDIRECT_INVALID = "redirect_invalid", "The page redirects to no address that can be crawled."
    TOO_MANY_REDIRECTS = "too_many_redirects", "Too many redirects led here; the chain ends."
    NOINDEX = "noindex", "The page asks not to be indexed (meta robots or X-Robots-Tag)."
    CANONICAL = "canonical", "The page names another page of the domain as its canonical form."
    MISSING_FIELDS = "missing_fields", "A field that the domain pack requires was not found."
    NOT_HTML = "not_html", "The answer is not HTML."

    # Gone, or on its way
    HTTP_404 = "http_404", "Not found; removed after enough strikes."
    HTTP_410 = "http_410", "Gone; removed at once."
    REMOVAL_HELD = "removal_held", "Too many of the pack's documents vanish at once; kept for now."

    # May pass
    FORBIDDEN = "forbidden", "The server forbids the page (401, 403, 407, 451); nothing is removed."
    HTTP_429 = "http_429", "The server asks for fewer requests; the host rests."
    HTTP_4XX = "http_4xx", "The server refuses the request."
    HTTP_5XX = "http_5xx", "The server failed."
    HTTP_UNEXPECTED = "http_unexpected", "The answer has a status that means nothing here."
    ROBOTS_UNREACHABLE = "robots_unreachable", "robots.txt cannot be had, so nothing may be asked."
    PROCESSOR_ERROR = "processor_error", "The crawler itself failed over this page."
    WORKER_CRASHED = "worker_crashed", "Workers died over this page three times; it rests a day."
    DNS_ERROR = "dns_error", "The host's name has no address."
    CONNECT_ERROR = "connect_error", "No connection to the host."
    TLS_ERROR = "tls_error", "No trustworthy TLS connection to the host."
    FETCH_TIMEOUT = "fetch_timeout", "The answer took longer than the pack allows."
    TOO_SLOW = "too_slow", "The answer came more slowly than the least rate."
    BAD_HTTP = "bad_http", "The answer is not HTTP as it should be."
    BODY_TOO_LARGE = "body_too_large", "The body is larger than the pack allows."
    BAD_CONTENT_ENCODING = "bad_content_encoding", "The body cannot be decompressed in bounds."
    PARSER_TIMEOUT = "parser_timeout", "Parsing took too long."
    PARSER_MEMORY = "parser_memory", "Parsing took too much memory."
    PARSER_CRASH = "parser_crash", "Parsing killed its process."

    # Not to be asked for
    ROBOTS_DENIED = "robots_denied", "robots.txt disallows the URL."
    ADDRESS_REFUSED = "address_refused", "The host's address is not let through (ALLOW_NETWORKS)."
    DISCARDED = "discarded", "Needs no visit any more."
    IN_SCOPE = "in_scope", "The URL belongs to the domain."
    HOST_NOT_IN_SCOPE = "host_not_in_scope", "The host is not one of the pack's."
    DENIED_BY_RULE = "denied_by_rule", "A deny rule of the pack matches."
    NOT_ALLOWED_BY_RULE = "not_allowed_by_rule", "No allow rule of the pack matches."
    TOO_DEEP = "too_deep", "Too many links from a seed."
    URL_TOO_LONG = "url_too_long", "The URL is longer than the pack allows."
    TOO_MANY_SEGMENTS = "too_many_segments", "The path has more segments than the pack allows."
    REPEATED_SEGMENTS = "repeated_segments", "A path segment repeats, as in a trap."
    TOO_MANY_PARAMETERS = "too_many_parameters", "The query has more parameters than allowed."
    NOFOLLOW = "nofollow", "The link, or its whole page, asks not to be followed."
    INVALID_URL = "invalid_url", "Not a URL."
    SCHEME_NOT_HTTP = "scheme_not_http", "Neither http nor https."
    URL_HAS_USERINFO = "url_has_userinfo", "The URL holds a user name or password."
    INVALID_HOST = "invalid_host", "The URL's host is not a host name."
    NO_PACK = "no_pack", "No domain pack covers the host, and SEED_SCOPE is not `host`."
    TOO_MANY_PAGES = "too_many_pages", "The pack knows as many pages as its max_pages allows."
    UNKNOWN_PACK = "unknown_pack", "The row's domain pack is no longer there."

    # robots.txt and sitemaps
    ROBOTS_READ = "robots_read", "robots.txt was read."
    ROBOTS_ABSENT = "robots_absent", "There is no robots.txt: everything is allowed."
    SITEMAP_READ = "sitemap_read", "The sitemap was read."
    SITEMAP_TOO_DEEP = "sitemap_too_deep", "Sitemap indexes are nested too deeply."
    SITEMAP_UNREADABLE = "sitemap_unreadable", "The sitemap could not be read to its end."


def explain(code: str) -> str:
    """Return the explanation of a code; an unknown one explains itself."""
    return next((reason.explanation for reason in Reason if reason.value == code), code)
