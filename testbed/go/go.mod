module testbed/go-server

go 1.25
