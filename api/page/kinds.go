package page

// Form is the data of the page "form". It is posted to its own address.
type Form struct {
	Title  string
	Wrong  string // what was wrong with the attempt before
	Lines  []string
	Links  []Link
	Hidden []Hidden
	Fields []Field
	Button string
}

// Captcha is the data of the page "captcha". It is posted to its own address, with
// the field "g-recaptcha-response".
type Captcha struct{ Wrong, Key string }

// Link leads to a document.
type Link struct{ Name, URL string }

// Hidden is a value that goes along with a form.
type Hidden struct{ Name, Value string }

// Field is one to be filled in.
type Field struct{ Name, Label, Type, Complete string }

// Message is the data of the page "message". Done tells the client that opened
// the page.
type Message struct {
	Title string
	Lines []string
	Done  bool
}

// Login is the data of the page "login". Do is "login" or "register".
type Login struct{ Title, Do string }
