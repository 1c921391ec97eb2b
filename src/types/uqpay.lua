---@meta uqpay

-- Annotations for the Lua language server: add the folder of this file to
-- `workspace.library`. Nothing here runs. Facts about the API are from
-- https://developers.uqpay.com/card-issuance/v1.6/api-reference/

---Client for UQPAY's card issuing API, on libcurl.
---@class uqpay
---@field _NAME string        # "uqpay"
---@field _VERSION string     # "0.1.0"
---Every kind of error: a list, and each name as a field of itself, so that a mistyped
---`uqpay.kinds.time_out` is nil.
---@field kinds table<integer|uqpay.kind, uqpay.kind>
local uqpay = {}

---@alias uqpay.kind
---| "invalid_request" # the API refuses the request: 400 and most other 4xx
---| "auth"            # 401, or the token function failed
---| "permission"      # 403
---| "not_found"       # 404, or a 400 of the type not_found
---| "conflict"        # 409, or the API still works on a request with the same key
---| "idempotency"     # the key is malformed, mismatched or was used before
---| "rate_limit"      # 429
---| "api"             # 5xx
---| "connect"         # no connection, or it was lost before the whole answer came
---| "dns"             # the host name could not be resolved
---| "tls"             # the server's certificate or the handshake was refused
---| "timeout"         # the deadline passed, or 408
---| "canceled"        # the client was closed during the call
---| "protocol"        # no HTTP, a redirect, a status that makes no sense
---| "too_large"       # more than max_response_bytes, or endless headers
---| "decode"          # the body is no JSON, or has a name twice
---| "schema"          # JSON, but not a balance, or not the one asked for
---| "config"          # this libcurl or system cannot do what is asked
---| "memory"          # out of memory
---| "forked"          # the client belongs to the parent process

---Options of `uqpay.new`. Times are in seconds, fractions allowed.
---@class uqpay.options
---@field environment? "sandbox"|"production" # which API (default "sandbox")
---@field base_url? string                    # instead of environment: "https://host/api"; http:// for loopback alone
---@field token string|uqpay.token_function   # access token, "Bearer " added if absent; or what gives it
---@field on_behalf_of? string                # account_id (a UUID) of a connected account; absent: the master account
---@field currency? string                    # for calls that name none
---@field timeout? number                     # for a whole call: token, attempts and waits (default 30; 0.001 to 86400)
---@field connect_timeout? number             # for one connection (default 10; 0.001 to 86400)
---@field max_retries? integer                # further attempts after the first (default 2; 0 to 100)
---@field retry_delay? number                 # before the first retry, then doubled (default 0.5; 0 to 3600)
---@field retry_delay_max? number             # ceiling of the doubling (default 5; at least retry_delay; 0 to 3600)
---@field max_response_bytes? integer         # of a body (default 1048576; 1024 to 67108864)
---@field amounts? "number"|"string"          # money as the nearest double, or as its exact digits (default "number")
---@field ca_file? string                     # authorities, PEM; then no others are trusted
---@field ca_path? string                     # folder of authorities, hashed as by `openssl rehash`
---@field pinned_public_key? string           # "sha256//<base64>", several with ";" between
---@field proxy? string                       # URL of a proxy; "" for none, whatever the environment says
---@field http_version? "auto"|"1.1"|"2"      # (default "auto", which is 1.1 at present)
---@field app_info? uqpay.app_info            # your program, named in User-Agent
---@field on_request? fun(info: uqpay.request_info)   # before each attempt
---@field on_response? fun(info: uqpay.response_info) # after each attempt
---@field on_retry? fun(info: uqpay.retry_info)       # before each wait for another attempt

---@class uqpay.app_info
---@field name string
---@field version? string
---@field url? string

---Gives a token, and its end in Unix seconds if that is known; or nil and a message. Called
---with "new" (there is none: for each call, unless an end was given), "expired" (the end is
---less than a minute away) or "rejected" (the API answered 401). It blocks the call, counts
---against its timeout, must not yield and must not use its own client.
---@alias uqpay.token_function fun(reason: "new"|"expired"|"rejected"): string?, (number|string)?

---What hooks are told. Hooks run protected: what they raise is counted in
---`client:stats().hook_errors` and changes nothing. They must not yield.
---@class uqpay.request_info
---@field endpoint string         # the method's name: "balance"
---@field method string           # "POST"
---@field url string
---@field currency string
---@field on_behalf_of? string
---@field idempotency_key string
---@field attempt integer         # from 1

---@class uqpay.response_info: uqpay.request_info
---@field status? integer         # absent when no answer came
---@field elapsed number          # seconds since the attempt began
---@field request_id? string
---@field kind? uqpay.kind        # of the error; absent on success
---@field message? string         # of the error

---@class uqpay.retry_info: uqpay.request_info
---@field wait number             # seconds until the next attempt
---@field status? integer
---@field kind uqpay.kind         # of the error that leads to it
---@field message string

---Options of one call; those of `uqpay.new` hold where none is given.
---@class uqpay.call_options
---@field on_behalf_of? string
---@field idempotency_key? string  # a UUID of your own, never changed; one used before on this client is refused ...
---@field allow_key_reuse? boolean # ... unless this is true: the answer may then be up to 24 hours old
---@field timeout? number
---@field connect_timeout? number
---@field max_retries? integer
---@field retry_delay? number
---@field retry_delay_max? number
---@field max_response_bytes? integer
---@field amounts? "number"|"string"

---@class uqpay.balance_query: uqpay.call_options
---@field currency? string

---An issuing balance, as
---https://developers.uqpay.com/card-issuance/v1.6/api-reference/retrieve-issuing-balance
---has it. Fields that the API adds are kept under their names; JSON null is absent.
---@class uqpay.balance
---@field balance_id string
---@field currency string
---@field available_balance number|string # a float, or with amounts = "string" its digits as sent
---@field margin_balance number|string
---@field frozen_balance number|string
---@field create_time string              # as sent, for example "2024-03-21T17:17:32+08:00"
---@field last_trade_time string
---@field balance_status string           # ACTIVE, PENDING, PROCESSING, CLOSED, or what the API adds

---The third result of a failed call. `tostring(err)` is the message.
---@class uqpay.error
---@field kind uqpay.kind
---@field message string            # what happened, with which host, after how many attempts
---@field attempts integer          # requests sent
---@field elapsed number            # seconds, the whole call
---@field retryable boolean         # may the same call succeed later?
---@field retry_stopped? string     # why no further attempt: "not_retryable", "max_retries", "deadline", "closed"
---@field status? integer           # HTTP status, when an answer came
---@field type? string              # the API's own
---@field code? string|number       # the API's own
---@field missing_fields? string[]  # the API's own
---@field request_id? string        # x-request-id, request-id or x-b3-traceid of the answer
---@field retry_after? number       # seconds that the server asked for
---@field idempotency_key? string   # of the last attempt
---@field on_behalf_of? string
---@field body? string              # of the answer: at most about 2 KiB, without the token
---@field curl_code? integer        # libcurl's, when no answer came
---@field curl_name? string
---@field os_errno? integer

---@class uqpay.stats
---@field calls integer
---@field succeeded integer
---@field failed integer
---@field attempts integer    # requests sent
---@field retries integer
---@field connections integer # opened
---@field hook_errors integer # raised by hooks

---@class uqpay.info
---@field version string     # of this module
---@field libcurl string
---@field tls string         # libcurl's TLS library
---@field ca_file? string    # libcurl's default authorities
---@field ca_path? string
---@field http2 boolean
---@field async_dns boolean  # name look-ups keep to the timeout
---@field poller string      # "epoll"
---@field cjson string       # lua-cjson's version

---@class uqpay.client
local client = {}

---Makes a client. Opens no connection and does not block. Raises on a bad option, naming it.
---@param options uqpay.options
---@return uqpay.client
function uqpay.new(options) end

---A fresh lower-case UUID of version 4.
---@return string
function uqpay.uuid() end

---What this module is built on.
---@return uqpay.info
function uqpay.info() end

---Retrieve Issuing Balance: asks for the balance as it is now. Blocks, for at most the
---timeout. Raises on a bad argument, naming it; every other failure is returned.
---@param currency string
---@param options? uqpay.call_options
---@return uqpay.balance? balance
---@return string? message
---@return uqpay.error? err
---@overload fun(self: uqpay.client, query?: uqpay.balance_query): uqpay.balance?, string?, uqpay.error?
function client:balance(currency, options) end

---What the client has done so far.
---@return uqpay.stats
function client:stats() end

---Closes the connections and forgets the token. Calls in flight end with the kind
---`canceled`. Closing again does nothing. A client closes itself when it is collected, and
---in Lua 5.4 at the end of a `<close>` variable's block.
function client:close() end

return uqpay
