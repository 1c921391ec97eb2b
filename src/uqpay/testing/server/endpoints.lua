-- endpoints.lua: the endpoints by the names that faults, settings and the journal use.
-- SPDX-License-Identifier: MIT

return {
  token = { method = "POST", path = "/api/v1/connect/token" },
  balance = { method = "POST", path = "/api/v1/issuing/balances" },
  balances = { method = "GET", path = "/api/v1/issuing/balances" },
  transactions = { method = "GET", path = "/api/v1/issuing/balances/transactions" },
  accounts = { method = "GET", path = "/api/v1/accounts" },
}
