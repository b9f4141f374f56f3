---@meta skua.test

---What a file that `skua test` runs has, as globals and as this module. Each file runs in a node of its own; waits work in it as in any service.
---@class skua.test
local test = {}

---Groups tests. What before_each and the like are given in it is for its tests only.
---@param name string
---@param body fun()
function test.describe(name, body) end

---A test. It fails when it raises an error.
---@param name string
---@param body? fun() without it the test is one that is still to be written, and is skipped
function test.it(name, body) end

---Runs before each test of the group, those of outer groups first.
---@param f fun()
function test.before_each(f) end

---Runs after each test of the group, also after one that failed, those of inner groups first.
---@param f fun()
function test.after_each(f) end

---Runs once, before the first test of the group.
---@param f fun()
function test.before_all(f) end

---Runs once, behind the last test of the group.
---@param f fun()
function test.after_all(f) end

---@class skua.test.expectation
---@field never skua.test.expectation the opposite
---@field not_ skua.test.expectation the opposite
local expectation = {}

---It is the same value.
---@param value any
function expectation.to_be(value) end

---It is the same value, or a table with the same content.
---@param value any
function expectation.to_equal(value) end

---It is nil.
function expectation.to_be_nil() end

---It is neither nil nor false.
function expectation.to_be_truthy() end

---It is nil or false.
function expectation.to_be_falsy() end

---It is of that type, as type() and math.type() name it.
---@param name string
function expectation.to_be_a(name) end

---It is a number at most tolerance away (default 1e-9 of its size).
---@param value number
---@param tolerance? number
function expectation.to_be_close_to(value, tolerance) end

---It is a string with the text in it, or a table with a value in it that equals this one.
---@param value any
function expectation.to_contain(value) end

---It is a string in which the pattern is found.
---@param pattern string
function expectation.to_match(pattern) end

---It is a function that raises an error: with a pattern, one whose text has it; with a table, one that is a table with those fields.
---@param what? string|table
function expectation.to_error(what) end

---The same as to_error.
---@param what? string|table
function expectation.to_fail(what) end

---It is a spy or a handler of a mock that has been called, that many times.
---@param times? integer
function expectation.to_have_been_called(times) end

---It is a spy or a handler of a mock that has been called with these arguments.
---@param ... any
function expectation.to_have_been_called_with(...) end

---Says what a value is expected to be: expect(1 + 1).to_be(2).
---@param value any
---@return skua.test.expectation
function test.expect(value) end

---@class skua.test.call: any[] the arguments
---@field n integer how many

---Makes a function that notes its calls: one that calls f, or one that does nothing.
---@param f? fun(...): ...
---@return fun(...): ... noted
---@return skua.test.call[] calls oldest first
function test.spy(f) end

---@class skua.test.mock
---@field address integer
---@field calls skua.test.call[] all calls and messages, oldest first; the first argument is the command
---@field [string] fun(...): ... its handlers, for expect(mock.name).to_have_been_called()

---Puts a service in the place of another until the test's end: it has the name, skynet.newservice, uniqueservice and queryservice of that name give it, and
---what it is sent goes to the handlers. A handler gets the arguments without the command; what it returns is the answer; it may wait, and raise errors.
---Made in before_all or outside of tests, it is there for all tests of the file.
---@param name string
---@param handlers table<string, fun(...): ...>
---@return skua.test.mock
function test.mock(name, handlers) end

---The time of the node's timers, deadlines, skynet.now, skynet.time, os.time and os.date. It goes as it does until the test moves it; from then on it stands still, to the test's end. Sockets and
---databases have the time of the machine.
---@class skua.test.time
test.time = {}

---Lets time pass: what is due meanwhile happens, in its order and with all that follows from it, before this returns.
---@param cs number in 1/100 s
function test.time.advance(cs) end

---Has the time stand still.
function test.time.freeze() end

---Lets the time go on.
function test.time.resume() end

describe, it, expect, mock, spy, time = test.describe, test.it, test.expect, test.mock, test.spy, test.time
before_each, after_each, before_all, after_all = test.before_each, test.after_each, test.before_all, test.after_all

return test
