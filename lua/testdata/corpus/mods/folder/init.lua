return "folder/init.lua"
