-- An iterator whose client was closed raised that, and then gave the items of the page
-- that had come before.

local fixture = require "spec.support.fixture"

describe("an iterator of a closed client", function()
  local client
  local answered = 0

  fixture.with_client(function(made) client = made end,
    { on_response = function() answered = answered + 1 end })

  for _, on_error in ipairs { "raise", "return" } do
    it("gives no item once it has raised: " .. on_error, function()
      answered = 0
      local next_item = client:each_transaction { page_size = 20, on_error = on_error }
      local given = 0
      repeat -- each item steps the call for the second page
        assert.is_table(next_item())
        given = given + 1
        client:step(0.05)
      until answered == 2
      client:close()
      for _ = given + 1, 20 do assert.is_table(next_item()) end
      local ok, message = pcall(next_item)
      assert.is_false(ok)
      assert.matches("closed uqpay client", message, 1, true)
      for _ = 1, 22 do
        local again, same = pcall(next_item)
        assert.is_false(again)
        assert.equal(message, same)
      end
    end)
  end
end)
