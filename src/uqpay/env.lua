-- env.lua: the options of a client from environment variables.
-- SPDX-License-Identifier: MIT

-- Option and variable, in the order in which messages name them.
local variables = {
  { "token", "UQPAY_TOKEN" },
  { "client_id", "UQPAY_CLIENT_ID" },
  { "api_key", "UQPAY_API_KEY" },
  { "environment", "UQPAY_ENV" },
  { "base_url", "UQPAY_BASE_URL" },
  { "ca_file", "UQPAY_CA_FILE" },
}

-- With the option on the left, the variables of those on the right are not read.
local instead = {
  token = { "client_id", "api_key" },
  client_id = { "token" }, api_key = { "token" }, token_store = { "token" },
  base_url = { "environment" }, environment = { "base_url" },
}

-- The value of a variable; nil if it is not set or empty.
local function variable(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

-- Reads the variables that apply: their values and names by option.
local function read(given)
  local unread = {}
  for option, others in pairs(instead) do
    if given[option] ~= nil then
      for _, other in ipairs(others) do unread[other] = true end
    end
  end
  local values, names = {}, {}
  for _, row in ipairs(variables) do
    local option, name = row[1], row[2]
    if given[option] == nil and not unread[option] then
      values[option], names[option] = variable(name), name
    end
  end
  if values.token then values.client_id, values.api_key = nil, nil end
  return values, names
end

-- The message if options and variables do not fit together, or credentials are missing.
local function problem(given, values, names)
  local function has(option) return given[option] ~= nil or values[option] ~= nil end
  if values.base_url and values.environment then
    return "UQPAY_BASE_URL and UQPAY_ENV are both set: unset one"
  end
  if has "token" or has "client_id" and has "api_key" then return nil end
  for _, pair in ipairs { { "client_id", "api_key" }, { "api_key", "client_id" } } do
    if has(pair[1]) and names[pair[2]] then
      return ("%s is not set, but needed with %s"):format(names[pair[2]],
        names[pair[1]] or "the option " .. pair[1])
    end
  end
  if names.token then
    return "no credentials: set UQPAY_TOKEN, or UQPAY_CLIENT_ID and UQPAY_API_KEY"
  end
  return "no credentials: set UQPAY_CLIENT_ID and UQPAY_API_KEY"
end

-- The message if the argument of from_env is not a table of options.
local function argument_error(options)
  if options == nil then return nil end
  if type(options) ~= "table" then
    return "bad argument #1 to 'from_env' (table expected, got " .. type(options) .. ")"
  end
  if rawget(options, "from_env") ~= nil then -- the module
    return "bad call of 'from_env' (use uqpay.from_env{...}, not uqpay:from_env{...})"
  end
end

-- An error of `new` as one of from_env, with the variable that has the bad value.
local function rephrase(message, values, names)
  local option = message:match "^bad option '([%w_]+)' to 'new'"
  if option and values[option] then
    message = message .. ": it comes from " .. names[option]
  end
  return (message:gsub("to 'new'", "to 'from_env'", 1))
end

-- from_env(new, options) -> new's client, or nil and a message. Options take precedence
-- over variables.
return function(new, options)
  local message = argument_error(options)
  if message then return nil, message end
  local all = setmetatable({}, debug.getmetatable(options or {}))
  for name, value in next, options or {} do all[name] = value end
  local values, names = read(all)
  message = problem(all, values, names)
  if message then return nil, message end
  for option, value in pairs(values) do all[option] = value end
  local ok, client = pcall(new, all)
  if ok then return client end
  if type(client) ~= "string" or client == "not enough memory" then error(client, 0) end
  return nil, rephrase(client, values, names)
end
