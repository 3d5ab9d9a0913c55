// A whole life of batches with the newest Go SDK: nothing changed but base URL and key.
package sdk

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/anthropics/anthropic-sdk-go/v2"
	"github.com/anthropics/anthropic-sdk-go/v2/option"
)

type call struct{ method, path, accept, key, version string }

type witness struct{ calls []call }

func (w *witness) see(request *http.Request, next option.MiddlewareNext) (*http.Response, error) {
	head := request.Header
	key := head.Get("X-Api-Key") + head.Get("Authorization")
	w.calls = append(w.calls, call{request.Method, request.URL.Path, head.Get("Accept"), key, head.Get("Anthropic-Version")})
	return next(request)
}

func newClient(t *testing.T, w *witness) anthropic.MessageBatchService {
	t.Helper()
	url := os.Getenv("SERVER_URL")
	if url == "" {
		t.Fatal("SERVER_URL is not set")
	}
	client := anthropic.NewClient(option.WithBaseURL(url), option.WithAPIKey("a-key"), option.WithMiddleware(w.see))
	return client.Messages.Batches
}

func aRequest(customID string, maxTokens int64) anthropic.MessageBatchNewParamsRequest {
	return anthropic.MessageBatchNewParamsRequest{
		CustomID: customID,
		Params: anthropic.MessageBatchNewParamsRequestParams{
			Model:     "claude-haiku-4-5-20251001",
			MaxTokens: maxTokens,
			Messages:  []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("Say hello to " + customID))},
		},
	}
}

func create(t *testing.T, batches anthropic.MessageBatchService, requests ...anthropic.MessageBatchNewParamsRequest) string {
	t.Helper()
	batch, err := batches.New(t.Context(), anthropic.MessageBatchNewParams{Requests: requests})
	if err != nil {
		t.Fatal(err)
	}
	if batch.ProcessingStatus != "in_progress" || batch.RequestCounts.Processing != int64(len(requests)) {
		t.Fatalf("created as %s", batch.RawJSON())
	}
	return batch.ID
}

func end(t *testing.T, batches anthropic.MessageBatchService, id string) *anthropic.MessageBatch {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		batch, err := batches.Get(t.Context(), id, anthropic.MessageBatchGetParams{})
		if err != nil {
			t.Fatal(err)
		}
		if batch.ProcessingStatus == "ended" {
			return batch
		}
	}
	t.Fatalf("%s does not end", id)
	return nil
}

func results(t *testing.T, batches anthropic.MessageBatchService, id string) []anthropic.MessageBatchIndividualResponse {
	t.Helper()
	var lines []anthropic.MessageBatchIndividualResponse
	stream := batches.ResultsStreaming(t.Context(), id, anthropic.MessageBatchResultsParams{})
	for stream.Next() {
		lines = append(lines, stream.Current())
	}
	if stream.Err() != nil {
		t.Fatal(stream.Err())
	}
	return lines
}

func assertRefused(t *testing.T, err error, status int) {
	t.Helper()
	var refused *anthropic.Error
	if !errors.As(err, &refused) || refused.StatusCode != status {
		t.Fatalf("expected %d, got %v", status, err)
	}
}

func TestCreateFollowReadDelete(t *testing.T) {
	seen := &witness{}
	batches := newClient(t, seen)
	id := create(t, batches, aRequest("good", 20), aRequest("bad", 0))

	counts := end(t, batches, id).RequestCounts
	if counts.Succeeded != 1 || counts.Errored != 1 || counts.Processing != 0 {
		t.Fatal(counts.RawJSON())
	}
	lines := results(t, batches, id)
	if len(lines) != 2 || lines[0].CustomID != "good" || lines[1].CustomID != "bad" {
		t.Fatal(lines)
	}
	if text := lines[0].Result.AsSucceeded().Message.Content[0].AsText().Text; text == "" {
		t.Fatal("no text")
	}
	fault := lines[1].Result.AsErrored().Error.Error
	if fault.Type != "invalid_request_error" || fault.Message != "max_tokens: must be greater than or equal to 1" {
		t.Fatal(fault.RawJSON())
	}
	_, err := batches.Cancel(t.Context(), id, anthropic.MessageBatchCancelParams{})
	assertRefused(t, err, http.StatusBadRequest)
	if _, err := batches.Delete(t.Context(), id, anthropic.MessageBatchDeleteParams{}); err != nil {
		t.Fatal(err)
	}
	_, err = batches.Get(t.Context(), id, anthropic.MessageBatchGetParams{})
	assertRefused(t, err, http.StatusNotFound)
	for _, call := range seen.calls {
		if call.key != "Bearer a-key" || call.version != "2026-10-21" {
			t.Fatalf("sent %+v", call)
		}
		if call.path == fmt.Sprintf("/v1/messages/batches/%s/results", id) && call.accept != "application/x-jsonl" {
			t.Fatalf("sent %+v", call)
		}
	}
}

func TestPages(t *testing.T) {
	batches := newClient(t, &witness{})
	var ids []string
	for range 5 {
		ids = append(ids, create(t, batches, aRequest("one", 20)))
	}
	page := func(params anthropic.MessageBatchListParams) []string {
		var found []string
		pager := batches.ListAutoPaging(context.Background(), params)
		for pager.Next() {
			found = append(found, pager.Current().ID)
		}
		if pager.Err() != nil {
			t.Fatal(pager.Err())
		}
		return found
	}

	listed := page(anthropic.MessageBatchListParams{Limit: anthropic.Int(2)})
	newer := page(anthropic.MessageBatchListParams{Limit: anthropic.Int(1), BeforeID: anthropic.String(ids[2])})

	if expected := []string{ids[4], ids[3], ids[2], ids[1], ids[0]}; len(listed) < 5 || !slices.Equal(listed[:5], expected) {
		t.Fatalf("%v is not %v", listed, expected)
	}
	if !slices.Equal(newer, ids[3:]) {
		t.Fatalf("%v is not %v", newer, ids[3:])
	}
}

func TestCancel(t *testing.T) {
	batches := newClient(t, &witness{})
	var many []anthropic.MessageBatchNewParamsRequest
	for number := range 200 {
		many = append(many, aRequest(fmt.Sprintf("r%d", number), 20))
	}
	id := create(t, batches, many...)
	_, err := batches.Delete(t.Context(), id, anthropic.MessageBatchDeleteParams{})
	assertRefused(t, err, http.StatusBadRequest)

	canceling, err := batches.Cancel(t.Context(), id, anthropic.MessageBatchCancelParams{})
	if err != nil || canceling.ProcessingStatus != "canceling" || canceling.CancelInitiatedAt.IsZero() {
		t.Fatal(canceling, err)
	}

	counts := end(t, batches, id).RequestCounts
	lines := results(t, batches, id)
	canceled := 0
	for _, line := range lines {
		if line.Result.Type == "canceled" {
			canceled++
		}
	}
	if len(lines) != 200 || int64(canceled) != counts.Canceled || lines[199].Result.Type != "canceled" {
		t.Fatal(len(lines), canceled, counts.RawJSON())
	}
}
