package api

import "net/http"

type page struct{}

func newPage(*Server, func() []byte) *page { return &page{} }

func (*page) register(*http.ServeMux) {}
