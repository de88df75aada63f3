"""First and last names that the demo's people are made of."""

from __future__ import annotations

_FIRST = """Aaliyah Adrian Aisha Alejandro Amara Amir Ana Anders Anika Arjun Astrid Beatriz Benedikt Bilal Camila Carlos Chen
    Chloe Daniel Daria Deepa Diego Ebony Eleni Elias Emeka Emilia Erin Esther Farah Felix Fiona Gabriel Grace Hana Hannah
    Hassan Helena Hiro Hugo Ines Ingrid Isaac Ivan Jamal Jana Jasmine Joao Jonas Kai Karim Katarzyna Keiko Kofi Laila
    Lars Leah Liam Lucia Maja Malik Marco Maria Mateo Maya Mei Miguel Mina Nadia Naomi Nikhil Noor Oliver Omar Owen
    Paloma Pavel Priya Quentin Rafael Rania Ravi Rosa Ruth Sana Santiago Sara Selma Simon Sofia Tariq Teresa Thabo
    Theo Uma Valentina Victor Wei Yasmin Yusuf Zara Zoe"""

_LAST = """Abara Abbott Acosta Adeyemi Ahmed Almeida Andersen Aoki Aydin Baker Banerjee Barros Bauer Becker Bennett Berg
    Bianchi Bosch Boyd Campbell Castillo Chandra Chavez Clarke Cohen Costa Cruz Dahl Dang Delgado Diaz Dubois Duarte
    Egan Eriksen Espinoza Farouk Fernandes Fischer Flores Foster Garcia Gomez Goldberg Grant Gupta Haddad Hansen Hart
    Hayashi Herrera Hoffmann Hughes Ibrahim Ito Jansen Jensen Johansson Kapoor Kaur Keller Khan Kim Klein Kovacs Kumar
    Lang Larsen Leclerc Lindqvist Lopez Mahmoud Marino Mbeki Mehta Mendoza Meyer Moreau Morgan Murphy Nair Nakamura
    Navarro Nguyen Nielsen Novak Nwosu Okafor Oliveira Ortiz Osei Park Patel Pereira Petrov Quinn Ramos Rao Reyes Rivera
    Rossi Sandberg Santos Sato Schmidt Schneider Sharma Silva Singh Soto Suzuki Tanaka Torres Tran Vargas Vogel Wagner
    Walsh Weber Wong Yilmaz Zhang Ziegler"""

FIRST_NAMES = tuple(_FIRST.split())
LAST_NAMES = tuple(_LAST.split())
