---@meta uqpay.luv

---`uqpay` for the coroutines of programs that run in libuv's loop.
---@type uqpay.loop
local luv

return luv
