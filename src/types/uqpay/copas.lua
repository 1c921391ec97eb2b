---@meta uqpay.copas

---`uqpay` for copas threads.
---@type uqpay.loop
local copas

return copas
