// Command pods prints what ResourceQuota charges for random pods, as the vectors in pods.json.
//
// A pod is printed as it stands in a template, before any default. What the API server does with it is done here with
// its own code: the defaults of a template, then those of a pod made from it, then the usage and the constraints of
// ResourceQuota's pod evaluator. Only pods that its validation accepts are printed.
// Run it from testbed/modules/kubernetes (its module has the libraries): go run ../../../tests/vectors/pods.go
package main

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"sort"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kubernetes/pkg/apis/core"
	corev1 "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/apis/core/validation"
	evaluator "k8s.io/kubernetes/pkg/quota/v1/evaluator/core"
	clocktesting "k8s.io/utils/clock/testing"
)

const pods = 300

type object = map[string]any

type vector struct {
	Spec    object            `json:"spec"`
	Usage   map[string]string `json:"usage"`
	Limited []string          `json:"limited"`
	Refusal string            `json:"refusal,omitempty"` // of Constraints, for a quota that limits these keys
}

var (
	random = rand.New(rand.NewSource(11))
	// Each in rising order: a request is taken from left of its limit.
	texts   = []string{"0", "0.1", "100m", "500m", "1", "1500m", "2", "2.5", "3", "1e3", "1k"}
	fine    = []string{"1u", "0.1m", "0.5m", "1.0005m", "333333333n"} // below a milli
	bytes   = []string{"0", "1000", "64Mi", "128974848", "500M", "1G", "1e9", "1Gi", "1048577Ki", "1.5Gi"}
	cards   = []string{"0", "1", "2", "4", "8"}
	pages   = []string{"0", "2Mi", "2097152", "4Mi", "1Gi"}
	large   = []string{"2k", "2500", "3e3", "3000.5"} // for a pod as a whole, which may not ask for less than its containers
	bulk    = []string{"20Gi", "20G", "22e9"}
	gpuKeys = []string{"nvidia.com/gpu", "nvidia.com/mig-1g.5gb", "example.com/fpga", "kubernetes.io.example.com/nic"}
	pageKey = []string{"hugepages-2Mi", "hugepages-1Gi"}
	quotas  = []string{"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory", "pods", "requests.nvidia.com/gpu", "limits.ephemeral-storage"}
)

func pick(list []string) string { return list[random.Intn(len(list))] }

func in(n int) bool { return random.Intn(n) == 0 }

// list makes the requests and limits of a container, or of a pod as a whole.
func list(whole bool) object {
	requests, limits := object{}, object{}
	numbers := texts
	if in(4) {
		numbers = fine
	}
	put := func(name string, values []string) {
		limit := random.Intn(len(values))
		if in(2) {
			limits[name] = values[limit]
		}
		if in(2) {
			requests[name] = values[random.Intn(limit+1)]
		}
	}
	if whole {
		put("cpu", large)
		put("memory", bulk)
	} else {
		put("cpu", numbers)
		put("memory", bytes)
	}
	same := func(name, value string) { // these cannot be overcommitted
		limits[name] = value
		if in(2) {
			requests[name] = value
		}
	}
	if !whole {
		if in(4) {
			put("ephemeral-storage", bytes)
		}
		if in(3) {
			same(pick(gpuKeys), pick(cards))
		}
	}
	if in(5) {
		same(pick(pageKey), pick(pages))
	}
	if whole && in(6) {
		requests[pick(pageKey)] = pick(pages)
	}
	result := object{}
	if len(requests) > 0 {
		result["requests"] = requests
	}
	if len(limits) > 0 {
		result["limits"] = limits
	}
	return result
}

func container(name string) object {
	result := object{"name": name, "image": "i"}
	if resources := list(false); len(resources) > 0 {
		result["resources"] = resources
	}
	return result
}

func spec() object {
	var plain, init []object
	for i := 0; i <= random.Intn(3); i++ {
		plain = append(plain, container(fmt.Sprintf("c%d", i)))
	}
	for i := 0; i < random.Intn(5)-1; i++ {
		each := container(fmt.Sprintf("i%d", i))
		if in(2) {
			each["restartPolicy"] = "Always"
		}
		init = append(init, each)
	}
	result := object{"containers": plain}
	if len(init) > 0 {
		result["initContainers"] = init
	}
	if in(3) {
		result["resources"] = list(true)
	}
	if in(4) {
		overhead := object{"cpu": pick(texts), "memory": pick(bytes)}
		if in(3) {
			overhead["ephemeral-storage"] = pick(bytes)
		}
		result["overhead"] = overhead
		result["runtimeClassName"] = "kata"
	}
	return result
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// defaulted is the pod that the API server stores: made from a template that has its own defaults.
func defaulted(text []byte) *v1.Pod {
	template := &v1.PodTemplate{}
	check(json.Unmarshal(text, &template.Template.Spec))
	corev1.SetObjectDefaults_PodTemplate(template)
	pod := &v1.Pod{Spec: template.Template.Spec}
	pod.Name, pod.Namespace = "p", "n"
	corev1.SetObjectDefaults_Pod(pod)
	return pod
}

func isValid(pod *v1.Pod) bool {
	internal := &core.Pod{}
	check(corev1.Convert_v1_Pod_To_core_Pod(pod.DeepCopy(), internal, nil))
	return len(validation.ValidatePodCreate(internal, validation.PodValidationOptions{PodLevelResourcesEnabled: true})) == 0
}

func main() {
	clock := clocktesting.NewFakeClock(time.Unix(0, 0))
	quota := evaluator.NewPodEvaluator(nil, clock)
	out := struct {
		Source string   `json:"source"`
		Pods   []vector `json:"pods"`
	}{Source: "k8s.io/kubernetes v1.36.3, printed by pods.go"}
	refused := 0
	for len(out.Pods) < pods {
		made := spec()
		text, err := json.Marshal(made)
		check(err)
		pod := defaulted(text)
		if !isValid(pod) {
			refused++
			continue
		}
		usage, err := evaluator.PodUsageFunc(runtime.Object(pod), clock)
		check(err)
		v := vector{Spec: made, Usage: map[string]string{}}
		for key, amount := range usage {
			amount.Add(resource.Quantity{}) // one fresh from ParseQuantity prints the text it came from
			v.Usage[string(key)] = amount.String()
		}
		random.Shuffle(len(quotas), func(i, j int) { quotas[i], quotas[j] = quotas[j], quotas[i] })
		v.Limited = append([]string{}, quotas[:random.Intn(5)]...)
		sort.Strings(v.Limited)
		var required []v1.ResourceName
		for _, key := range v.Limited {
			required = append(required, v1.ResourceName(key))
		}
		if err := quota.Constraints(required, pod); err != nil {
			v.Refusal = err.Error()
		}
		out.Pods = append(out.Pods, v)
	}
	fmt.Fprintf(os.Stderr, "%d pods, %d more were not valid\n", len(out.Pods), refused)
	lines, err := json.Marshal(out.Source)
	check(err)
	fmt.Printf("{\n \"source\": %s,\n \"pods\": [\n", lines)
	for i, each := range out.Pods {
		line, err := json.Marshal(each)
		check(err)
		comma := ","
		if i == len(out.Pods)-1 {
			comma = ""
		}
		fmt.Printf("  %s%s\n", line, comma)
	}
	fmt.Print(" ]\n}\n")
}
