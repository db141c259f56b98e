// Command quantity prints what k8s.io/apimachinery makes of quantity texts, as the vectors in quantity.json.
// Run it from testbed/modules/kubernetes (its module has the library): go run ../../../tests/vectors/quantity.go
package main

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

type one struct {
	Text  string `json:"text"`
	Ok    bool   `json:"ok"`
	Canon string `json:"canonical,omitempty"`
	Milli string `json:"milli,omitempty"` // canonical text after rounding up to milli
}

type two struct {
	A   string `json:"a"`
	B   string `json:"b"`
	Sum string `json:"sum"`
	Sub string `json:"difference"`
	Cmp int    `json:"order"`
}

var fixed = strings.Split("0|1|-1|+1|.5|5.|1.5|0.1|500m|1500m|0.1m|0.5m|1n|0.1n|-0.1n|1u|1.0005m|1k|1K|1Ki|1.5Ki|0.5Ki|0.1Ki|1023|1024|1024Ki|"+
	"1Mi|1Gi|1Ti|1Pi|1Ei|7Ei|8Ei|9Ei|9999999Ei|9223372036854775807|9223372036854775808|1E|9E|10E|100E|999E|1000000|1e3|1E3|1e+3|1e-3|1E-9|1e-10|"+
	"1e20|1e99|12e1|120e-2|1e|1e+|e3|NaN|Infinity|inf|1_000|1,000| 1|1 |1\n|1e3Ki|1Kim|1mi|1gi|1g|1GB|0x10|--1|+-1|1.2.3|..|.|+|-||１|1i|Ki|m|-5|-1.5Gi|00012|0.000|1.10|"+
	"00.5Gi|123456789012345678901234567890|0.000000000000000000000000001|1Zi|1d|10m0|1.5e3|1.5E3|3e0|1500000000n|1000000000n|2048Mi|1536Mi|1048577Ki|"+
	"1e007|0e100|1e100|1e-100|1e+000|000000000000000000000000000000001|0.00000000000000000000000000000001|1000000000000000000000000000000000", "|")

// canonical prints what sums print; a Quantity fresh from ParseQuantity prints the text it came from.
func canonical(q resource.Quantity) string {
	q.Add(resource.Quantity{})
	return q.String()
}

func main() {
	r := rand.New(rand.NewSource(7))
	suffixes := []string{"", "", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "e3", "e-3", "E6", "e9", "e-9", "e15"}
	texts := append([]string{}, fixed...)
	var good []string
	for i := 0; i < 400; i++ {
		number := fmt.Sprint(r.Int63n([]int64{10, 1000, 1 << 20, 1 << 40}[r.Intn(4)]))
		if r.Intn(3) == 0 {
			number += "." + fmt.Sprint(r.Int63n(100000))
		}
		text := []string{"", "", "", "-", "+"}[r.Intn(5)] + number + suffixes[r.Intn(len(suffixes))]
		texts = append(texts, text)
		good = append(good, text)
	}
	out := struct {
		Source string `json:"source"`
		One    []one  `json:"one"`
		Two    []two  `json:"two"`
	}{Source: "k8s.io/apimachinery v0.36.3, printed by quantity.go"}
	for _, text := range texts {
		q, err := resource.ParseQuantity(text)
		v := one{Text: text, Ok: err == nil}
		if err == nil {
			v.Canon = canonical(q)
			up := q.DeepCopy()
			up.RoundUp(resource.Milli)
			v.Milli = canonical(up)
		}
		out.One = append(out.One, v)
	}
	for i := 0; i < 400; i++ {
		a, b := good[r.Intn(len(good))], good[r.Intn(len(good))]
		if i%8 == 0 {
			b = a
		}
		qa, qb := resource.MustParse(a), resource.MustParse(b)
		sum, sub := qa.DeepCopy(), qa.DeepCopy()
		sum.Add(qb)
		sub.Sub(qb)
		out.Two = append(out.Two, two{a, b, canonical(sum), canonical(sub), qa.Cmp(qb)})
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(out); err != nil {
		panic(err)
	}
}
